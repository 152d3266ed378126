-- Top-N over an aggregate that updates.
-- tables: orders
SELECT currency, customer, total, rn FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY currency ORDER BY total DESC, customer) AS rn FROM (
  SELECT currency, customer, SUM(amount) AS total FROM orders GROUP BY currency, customer)) WHERE rn <= 2;
