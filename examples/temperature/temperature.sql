-- Temperatures arrive as JSON on the topic 'temperature':
--   {"sensor": "boiler", "celsius": 71.3, "measured_at": "2026-01-31 12:00:00.250"}

SET 'table.exec.source.idle-timeout' = '5 s';

CREATE TABLE temperature (
  sensor      STRING,
  celsius     DOUBLE,
  measured_at TIMESTAMP(3),
  -- A reading may come up to two seconds late.
  WATERMARK FOR measured_at AS measured_at - INTERVAL '2' SECOND
) WITH (
  'connector' = 'kafka',
  'topic' = 'temperature',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);

CREATE TABLE temperature_alerts (
  sensor      STRING,
  celsius     DOUBLE,
  measured_at TIMESTAMP(3),
  message     STRING
) WITH ('connector' = 'kafka', 'topic' = 'temperature_alerts', 'format' = 'json');

CREATE TABLE temperature_adjusted (
  sensor      STRING,
  celsius     DOUBLE,
  fahrenheit  DOUBLE,
  measured_at TIMESTAMP(3)
) WITH ('connector' = 'kafka', 'topic' = 'temperature_adjusted', 'format' = 'json');

-- The average of the last five seconds, anew each second, for each sensor: a view that
-- keeps the newest value. Ask it with psql.
CREATE MATERIALIZED VIEW temperature_average AS
SELECT
  sensor,
  LAST_VALUE(window_end) AS until,
  LAST_VALUE(celsius)    AS celsius,
  LAST_VALUE(readings)   AS readings
FROM (
  SELECT sensor, window_end, AVG(celsius) AS celsius, COUNT(*) AS readings
  FROM TABLE(HOP(TABLE temperature, DESCRIPTOR(measured_at), INTERVAL '1' SECOND, INTERVAL '5' SECOND))
  GROUP BY sensor, window_start, window_end
) AS windows
GROUP BY sensor;

-- A warning for each reading above the threshold.
INSERT INTO temperature_alerts
SELECT sensor, celsius, measured_at, CONCAT(sensor, ' is hot: ', CAST(celsius AS STRING), ' degrees')
FROM temperature
WHERE celsius > 80;

-- The sensors read half a degree too high: pass on the corrected value.
INSERT INTO temperature_adjusted
SELECT sensor, celsius - 0.5, (celsius - 0.5) * 9 / 5 + 32, measured_at
FROM temperature;
