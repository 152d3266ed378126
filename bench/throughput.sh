#!/bin/bash
# Rows a second of one query over a folder of Nexmark JSON lines, as the median of several runs.
# usage: throughput.sh QUERY(filter|tumble|hop) FOLDER PARALLELISM [RUNS]
set -eu
cd "$(dirname "$0")"
query=$1 folder=$2 parallelism=$3 runs=${4:-5}
script=$(mktemp)
trap 'rm -f "$script"' EXIT
cat sql/nexmark.sql "sql/$query.sql" > "$script"
cat "$folder"/* > /dev/null # page cache
for _ in $(seq "$runs"); do
  "${THALWEG:-../target/release/thalweg}" run "$script" -p "$parallelism" --set DIR="$folder" --stats json 2>&1 |
    python3 -c 'import json,sys
for line in sys.stdin:
    if line.startswith("{"):
        print(json.loads(line)["rows_per_s"])'
done | sort -n | awk -v q="$query" -v p="$parallelism" \
  '{v[NR]=$1} END {printf "%s p%s: median %.0f rows/s (min %.0f, max %.0f, %d runs)\n", q, p, v[int((NR+1)/2)], v[1], v[NR], NR}'
