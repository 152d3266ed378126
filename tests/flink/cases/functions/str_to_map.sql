-- STR_TO_MAP.
SELECT STR_TO_MAP('k1=v1')['k1'] AS a, STR_TO_MAP('a:1;b:2', ';', ':')['b'] AS b, CARDINALITY(STR_TO_MAP('a=1,b=2')) AS n;
