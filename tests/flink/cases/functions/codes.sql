-- Codes and hashes.
SELECT ASCII('A') AS a, CHR(66) AS c, MD5('flink') AS m, SHA1('flink') AS s1, SHA224('x') AS s224, SHA256('flink') AS s2, SHA384('x') AS s384, SHA512('x') AS s512, TO_BASE64('hello') AS b, FROM_BASE64('aGVsbG8=') AS fb;
