-- How doubles and floats are written.
SELECT CAST(x AS DOUBLE) AS d, CAST(x AS FLOAT) AS f, CAST(CAST(x AS DOUBLE) AS STRING) AS ds, CAST(CAST(x AS FLOAT) AS STRING) AS fs FROM (VALUES ('1'), ('0.1'), ('1e7'), ('12345678.9'), ('1e-3'), ('1e-4'), ('-0.0'), ('1e21'), ('3.4028235e38'), ('123456789012345678')) AS v(x);
