CREATE TABLE accounts (
  id INT, owner STRING, balance INT, region STRING, PRIMARY KEY (id) NOT ENFORCED
) WITH ('connector' = 'filesystem', 'path' = '${data}/accounts.json', 'format' = 'debezium-json');
