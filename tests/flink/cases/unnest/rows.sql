-- An array of rows gives their fields.
-- tables: nested
SELECT id, sku, qty FROM nested, UNNEST(items) AS t(sku, qty);
