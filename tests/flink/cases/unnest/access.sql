-- Elements, fields, sizes.
-- tables: nested
SELECT id, tags[1] AS first_tag, nums[5] AS fifth, attrs['size'] AS size, attrs['none'] AS no_, nested.r.a AS a, r.b AS b,
  CARDINALITY(tags) AS nt, CARDINALITY(attrs) AS na, r, tags, items FROM nested;
