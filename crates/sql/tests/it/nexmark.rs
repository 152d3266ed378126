//! The Nexmark queries that can be planned so far, over the benchmark's tables. The
//! texts are our own after the benchmark's description.

use crate::support::{explain, session};

/// One table of three kinds of events, as the benchmark has it, and a view for each.
const TABLES: &str = "
CREATE TABLE datagen (
    event_type INT,
    person ROW<
        id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR,
        city VARCHAR, state VARCHAR, `dateTime` TIMESTAMP(3), extra VARCHAR>,
    auction ROW<
        id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT,
        `dateTime` TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT,
        extra VARCHAR>,
    bid ROW<
        auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
        `dateTime` TIMESTAMP(3), extra VARCHAR>,
    `dateTime` AS CASE
        WHEN event_type = 0 THEN person.`dateTime`
        WHEN event_type = 1 THEN auction.`dateTime`
        ELSE bid.`dateTime` END,
    WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'events.num' = '1000'); -- the generator
CREATE VIEW person AS
SELECT person.id, person.name, person.emailAddress, person.creditCard, person.city,
       person.state, `dateTime`, person.extra
FROM datagen WHERE event_type = 0;
CREATE VIEW auction AS
SELECT auction.id, auction.itemName, auction.description, auction.initialBid,
       auction.reserve, `dateTime`, auction.expires, auction.seller, auction.category,
       auction.extra
FROM datagen WHERE event_type = 1;
CREATE VIEW bid AS
SELECT bid.auction, bid.bidder, bid.price, bid.channel, bid.url, `dateTime`, bid.extra
FROM datagen WHERE event_type = 2;
CREATE FUNCTION count_char AS 'com.github.nexmark.flink.udf.CountChar';
";

fn check(sink: &str, query: &str, expected: &str) {
    let sink = format!("CREATE TABLE sink ({sink}) WITH ('connector' = 'blackhole')");
    let session = session(&format!("{TABLES} {sink}"));
    let sql = format!("INSERT INTO sink {query}");
    let plan = explain(&session, &sql).unwrap_or_else(|error| panic!("{}", error.render(&sql)));
    let lines =
        |text: &str| text.trim().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&plan), lines(expected), "\n{plan}");
}

#[test]
fn q0_passes_bids_through() {
    check(
        "auction BIGINT, bidder BIGINT, price BIGINT, `dateTime` TIMESTAMP(3), extra VARCHAR",
        "SELECT auction, bidder, price, `dateTime`, extra FROM bid",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2
      select: bid.auction AS auction, bid.bidder AS bidder, bid.price AS price, dateTime, bid.extra AS extra
      changelog: insert; event time: dateTime
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, person(dateTime), auction(dateTime), bid(auction, bidder, price, dateTime, extra)
        computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
        changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q1_multiplies_exactly() {
    check(
        "auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), `dateTime` TIMESTAMP(3), \
         extra VARCHAR",
        "SELECT auction, bidder, 0.908 * price AS price, `dateTime`, extra FROM bid",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2
      select: bid.auction AS auction, bid.bidder AS bidder, 0.908 * CAST(bid.price AS DECIMAL(20, 0)) AS price, dateTime, bid.extra AS extra
      changelog: insert; event time: dateTime
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, person(dateTime), auction(dateTime), bid(auction, bidder, price, dateTime, extra)
        computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
        changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q2_reads_only_what_it_needs() {
    check(
        "auction BIGINT, price BIGINT",
        "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2 AND MOD(bid.auction, 123) = 0
      select: bid.auction AS auction, bid.price AS price
      changelog: insert
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, bid(auction, price)
        changelog: insert
",
    );
}

#[test]
fn q5_counts_in_hops_and_takes_the_most() {
    check(
        "num BIGINT, window_start TIMESTAMP(3), window_end TIMESTAMP(3)",
        "SELECT MAX(counts.num), window_start, window_end FROM (
             SELECT auction, COUNT(*) AS num, window_start, window_end
             FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`),
                            INTERVAL '2' SECOND, INTERVAL '10' SECOND))
             GROUP BY auction, window_start, window_end
         ) AS counts
         GROUP BY counts.window_start, counts.window_end",
        r"
[6] sink default_catalog.default_database.sink (blackhole)
  <-- [5] calc
      select: MAX(num) AS num, window_start, window_end
      changelog: insert
    <-- [4] window aggregate tumble(1 ms) on $window_time
        keys: window_start, window_end
        aggregates: MAX(num)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- hash(window_start, window_end) - [3] calc
          select: window_start, window_end, COUNT(*) AS num, window_time AS $window_time
          changelog: insert; event time: $window_time
        <-- [2] window aggregate hop(2 s, 10 s) on dateTime
            keys: auction
            aggregates: COUNT(*)
            state: until the window is complete
            changelog: insert; event time: window_time
          <- hash(auction) - [1] calc
              where: event_type = 2
              select: bid.auction AS auction, dateTime
              changelog: insert; event time: dateTime
            <-- [0] source default_catalog.default_database.datagen (nexmark)
                reads: event_type, person(dateTime), auction(dateTime), bid(auction, dateTime)
                computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
                watermark: dateTime - INTERVAL '4' SECOND
                changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q7_takes_the_highest_price_of_each_window() {
    check(
        "price BIGINT, window_end TIMESTAMP(3)",
        "SELECT MAX(price), window_end
         FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
         GROUP BY window_start, window_end",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: MAX(price) AS price, window_end
      changelog: insert
    <-- [2] window aggregate tumble(10 s) on dateTime
        aggregates: MAX(price)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- single - [1] calc
          where: event_type = 2
          select: bid.price AS price, dateTime
          changelog: insert; event time: dateTime
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, person(dateTime), auction(dateTime), bid(price, dateTime)
            computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
            watermark: dateTime - INTERVAL '4' SECOND
            changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q11_groups_by_sessions() {
    check(
        "bidder BIGINT, bid_count BIGINT, starttime TIMESTAMP(3), endtime TIMESTAMP(3)",
        "SELECT B.bidder, COUNT(*) AS bid_count,
                SESSION_START(B.`dateTime`, INTERVAL '10' SECOND) AS starttime,
                SESSION_END(B.`dateTime`, INTERVAL '10' SECOND) AS endtime
         FROM bid B
         GROUP BY B.bidder, SESSION(B.`dateTime`, INTERVAL '10' SECOND)",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: bidder, COUNT(*) AS bid_count, window_start AS starttime, window_end AS endtime
      changelog: insert
    <-- [2] window aggregate session(10 s) on dateTime
        keys: bidder
        aggregates: COUNT(*)
        state: until the window is complete
        changelog: insert; event time: window_time
      <- hash(bidder) - [1] calc
          where: event_type = 2
          select: bid.bidder AS bidder, dateTime
          changelog: insert; event time: dateTime
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, person(dateTime), auction(dateTime), bid(bidder, dateTime)
            computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
            watermark: dateTime - INTERVAL '4' SECOND
            changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q12_windows_in_processing_time() {
    check(
        "bidder BIGINT, bid_count BIGINT, starttime TIMESTAMP(3), endtime TIMESTAMP(3)",
        "SELECT bidder, COUNT(*) AS bid_count, window_start AS starttime, window_end AS endtime
         FROM TABLE(TUMBLE(TABLE (SELECT *, PROCTIME() AS p_time FROM bid),
                           DESCRIPTOR(p_time), INTERVAL '10' SECOND))
         GROUP BY bidder, window_start, window_end",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: bidder, COUNT(*) AS bid_count, window_start AS starttime, window_end AS endtime
      changelog: insert
    <-- [2] window aggregate tumble(10 s) on processing time
        keys: bidder
        aggregates: COUNT(*)
        state: until the window is complete
        changelog: insert
      <- hash(bidder) - [1] calc
          where: event_type = 2
          select: bid.bidder AS bidder
          changelog: insert
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, bid(bidder)
            changelog: insert
",
    );
}

#[test]
fn q14_calls_functions() {
    check(
        "auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), bidTimeType VARCHAR, \
         `dateTime` TIMESTAMP(3), extra VARCHAR, c_counts BIGINT",
        "SELECT auction, bidder, 0.908 * price AS price,
                CASE
                    WHEN HOUR(`dateTime`) >= 8 AND HOUR(`dateTime`) <= 18 THEN 'dayTime'
                    WHEN HOUR(`dateTime`) <= 6 OR HOUR(`dateTime`) >= 20 THEN 'nightTime'
                    ELSE 'otherTime'
                END AS bidTimeType,
                `dateTime`, extra, count_char(extra, 'c') AS c_counts
         FROM bid
         WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2 AND 0.908 * CAST(bid.price AS DECIMAL(20, 0)) > 1000000.000 AND 0.908 * CAST(bid.price AS DECIMAL(20, 0)) < 50000000.000
      select: bid.auction AS auction, bid.bidder AS bidder, 0.908 * CAST(bid.price AS DECIMAL(20, 0)) AS price, CASE WHEN HOUR(dateTime) >= 8 AND HOUR(dateTime) <= 18 THEN 'dayTime' WHEN HOUR(dateTime) <= 6 OR HOUR(dateTime) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bidTimeType, dateTime, bid.extra AS extra, COUNT_CHAR(bid.extra, 'c') AS c_counts
      changelog: insert; event time: dateTime
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, person(dateTime), auction(dateTime), bid(auction, bidder, price, dateTime, extra)
        computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
        changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q15_counts_with_filters() {
    check(
        "`day` VARCHAR, total_bids BIGINT, rank1_bids BIGINT, total_bidders BIGINT, \
         rank1_bidders BIGINT",
        "SELECT DATE_FORMAT(`dateTime`, 'yyyy-MM-dd') AS `day`,
                COUNT(*) AS total_bids,
                COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
                COUNT(DISTINCT bidder) AS total_bidders,
                COUNT(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders
         FROM bid
         GROUP BY DATE_FORMAT(`dateTime`, 'yyyy-MM-dd')",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, COUNT(*) AS total_bids, COUNT(*) FILTER (price < 10000) AS rank1_bids, COUNT(DISTINCT bidder) AS total_bidders, COUNT(DISTINCT bidder) FILTER (price < 10000) AS rank1_bidders
      changelog: insert, update, delete
    <-- [2] group aggregate
        keys: DATE_FORMAT(dateTime, 'yyyy-MM-dd')
        aggregates: COUNT(*), COUNT(*) FILTER (price < 10000), COUNT(DISTINCT bidder), COUNT(DISTINCT bidder) FILTER (price < 10000)
        state: each key for ever
        changelog: insert, update, delete
      <- hash(DATE_FORMAT(dateTime, 'yyyy-MM-dd')) - [1] calc
          where: event_type = 2
          select: DATE_FORMAT(dateTime, 'yyyy-MM-dd'), bid.price < 10000 AS price < 10000, bid.bidder AS bidder
          changelog: insert
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, person(dateTime), auction(dateTime), bid(bidder, price, dateTime)
            computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
            changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q17_keeps_the_types_of_averages() {
    check(
        "auction BIGINT, `day` VARCHAR, total_bids BIGINT, min_price BIGINT, max_price BIGINT, \
         avg_price BIGINT, sum_price BIGINT",
        "SELECT auction, DATE_FORMAT(`dateTime`, 'yyyy-MM-dd') AS `day`,
                COUNT(*) AS total_bids, MIN(price) AS min_price, MAX(price) AS max_price,
                AVG(price) AS avg_price, SUM(price) AS sum_price
         FROM bid
         GROUP BY auction, DATE_FORMAT(`dateTime`, 'yyyy-MM-dd')",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, COUNT(*) AS total_bids, MIN(price) AS min_price, MAX(price) AS max_price, AVG(price) AS avg_price, SUM(price) AS sum_price
      changelog: insert, update, delete
    <-- [2] group aggregate
        keys: auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd')
        aggregates: COUNT(*), MIN(price), MAX(price), AVG(price), SUM(price)
        state: each key for ever
        changelog: insert, update, delete
      <- hash(auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd')) - [1] calc
          where: event_type = 2
          select: bid.auction AS auction, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), bid.price AS price
          changelog: insert
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, person(dateTime), auction(dateTime), bid(auction, price, dateTime)
            computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
            changelog: insert; event time: dateTime
",
    );
}

#[test]
fn q21_extracts_with_a_regex() {
    check(
        "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, channel_id VARCHAR",
        "SELECT auction, bidder, price, channel,
                CASE
                    WHEN LOWER(channel) = 'apple' THEN '0'
                    WHEN LOWER(channel) = 'google' THEN '1'
                    ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2)
                END AS channel_id
         FROM bid
         WHERE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL
            OR LOWER(channel) IN ('apple', 'google', 'facebook', 'baidu')",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2 AND (REGEXP_EXTRACT(bid.url, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL OR LOWER(bid.channel) IN ('apple', 'google', 'facebook', 'baidu'))
      select: bid.auction AS auction, bid.bidder AS bidder, bid.price AS price, bid.channel AS channel, CASE WHEN LOWER(bid.channel) = 'apple' THEN '0' WHEN LOWER(bid.channel) = 'google' THEN '1' ELSE REGEXP_EXTRACT(bid.url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id
      changelog: insert
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, bid(auction, bidder, price, channel, url)
        changelog: insert
",
    );
}

#[test]
fn q22_splits_addresses() {
    check(
        "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, dir1 VARCHAR, \
         dir2 VARCHAR, dir3 VARCHAR",
        "SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3) AS dir1,
                SPLIT_INDEX(url, '/', 4) AS dir2, SPLIT_INDEX(url, '/', 5) AS dir3
         FROM bid",
        r"
[2] sink default_catalog.default_database.sink (blackhole)
  <-- [1] calc
      where: event_type = 2
      select: bid.auction AS auction, bid.bidder AS bidder, bid.price AS price, bid.channel AS channel, SPLIT_INDEX(bid.url, '/', 3) AS dir1, SPLIT_INDEX(bid.url, '/', 4) AS dir2, SPLIT_INDEX(bid.url, '/', 5) AS dir3
      changelog: insert
    <-- [0] source default_catalog.default_database.datagen (nexmark)
        reads: event_type, bid(auction, bidder, price, channel, url)
        changelog: insert
",
    );
}

/// q8 without its join: who registered in a window.
#[test]
fn q8_groups_both_sides_alike() {
    check(
        "id BIGINT, name VARCHAR, starttime TIMESTAMP(3), endtime TIMESTAMP(3)",
        "SELECT id, name, window_start AS starttime, window_end AS endtime
         FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND))
         GROUP BY id, name, window_start, window_end",
        r"
[4] sink default_catalog.default_database.sink (blackhole)
  <-- [3] calc
      select: id, name, window_start AS starttime, window_end AS endtime
      changelog: insert
    <-- [2] window aggregate tumble(10 s) on dateTime
        keys: id, name
        state: until the window is complete
        changelog: insert; event time: window_time
      <- hash(id, name) - [1] calc
          where: event_type = 0
          select: person.id AS id, person.name AS name, dateTime
          changelog: insert; event time: dateTime
        <-- [0] source default_catalog.default_database.datagen (nexmark)
            reads: event_type, person(id, name, dateTime), auction(dateTime), bid(dateTime)
            computes: CASE WHEN event_type = 0 THEN person.dateTime WHEN event_type = 1 THEN auction.dateTime ELSE bid.dateTime END AS dateTime
            watermark: dateTime - INTERVAL '4' SECOND
            changelog: insert; event time: dateTime
",
    );
}
