-- Decimals that leave their 38 digits.
-- tables: numbers
SELECT id, w + w AS a, w * w AS b, CAST(w AS DECIMAL(20, 1)) AS c FROM numbers WHERE id IN (0, 1, 3);
