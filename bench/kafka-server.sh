#!/bin/sh
# Apache Kafka as one process on one directory, its defaults but for a single node. It may be killed
# and started again.
#
#   HEAP=512m bench/kafka-server.sh DIRECTORY PORT JARS
#
# The kill -9 loop runs against it so:
#   THALWEG_KILL_SQL=off THALWEG_KILL_PORT=29092 \
#   THALWEG_KILL_COMMAND="bench/kafka-server.sh {data} 29092 JARS" \
#   cargo test -p thalweg --test kill -- survives_kill_9 --nocapture
set -eu
directory=$1 port=$2 jars=$3
settings=$directory/server.properties
mkdir -p "$directory"
if [ ! -f "$settings" ]; then
    cat >"$settings.new" <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$directory/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
SETTINGS
    java -cp "$jars/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk -c "$settings.new" >&2
    mv "$settings.new" "$settings"
fi
heap=${HEAP:-512m}
exec java "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC -cp "$jars/*" kafka.Kafka "$settings"
