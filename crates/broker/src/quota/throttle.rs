//! How a client is held off: the wait that an answer tells, and a connection from which
//! nothing is read meanwhile; and how the time that a request takes is measured.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_core::env::Clock;

/// Until when nothing is read from a connection.
#[derive(Default)]
pub(crate) struct Mute {
    until_ns: AtomicU64,
}

impl Mute {
    /// Mutes for so long from now on, unless it is mute for longer already.
    pub(crate) fn extend(&self, clock: &dyn Clock, wait: Duration) {
        let until = clock.monotonic_ns().saturating_add(wait.as_nanos() as u64);
        self.until_ns.fetch_max(until, Ordering::Relaxed);
    }

    /// How long to wait still.
    pub(crate) fn left(&self, clock: &dyn Clock) -> Option<Duration> {
        let until = self.until_ns.load(Ordering::Relaxed);
        // Mostly zero: then nobody asks for the time.
        let left = if until == 0 { 0 } else { until.saturating_sub(clock.monotonic_ns()) };
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

/// Where in an encoded answer of `length` bytes the throttle time stands, which has four.
/// `None` where there is none, or where nobody is held off.
pub(crate) fn place_of_throttle_time(
    key: i16,
    version: i16,
    is_flexible: bool,
    length: usize,
) -> Option<usize> {
    let since = match key {
        // At the end; in front of the tagged fields, of which there are none.
        0 => return length.checked_sub(if is_flexible { 5 } else { 4 }),
        1 | 10 | 12 | 13 | 14 | 15 | 16 | 20 => 1,
        2 | 11 | 19 => 2,
        3 | 8 | 9 => 3,
        // Who asks for the versions, the brokers' own, and one in which it comes second.
        18 | 27 | 47 => return None,
        _ => 0,
    };
    // Length, correlation id, and tagged fields of the header.
    (version >= since).then_some(if is_flexible { 9 } else { 8 })
}

/// Runs a future and tells how long it kept its thread busy.
pub(crate) async fn timed<T>(clock: &dyn Clock, work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut busy_ns = 0;
    let outcome = std::future::poll_fn(|context| {
        let began_ns = clock.monotonic_ns();
        let polled = work.as_mut().poll(context);
        busy_ns += clock.monotonic_ns().saturating_sub(began_ns);
        polled
    });
    (outcome.await, Duration::from_nanos(busy_ns))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages as m;
    use kafka_protocol::protocol::Encodable;

    use super::*;
    use crate::api::APIS;

    const MARK: i32 = 0x0102_0304;

    /// Encodes an empty answer with a mark as its throttle time, behind room for the
    /// length and the header. `None` where the version has no throttle time.
    fn marked(key: i16, version: i16, head: usize) -> Option<BytesMut> {
        macro_rules! responses {
            ($($key:literal => $response:ident,)*) => {
                match key {
                    $($key => {
                        let response = m::$response::default().with_throttle_time_ms(MARK);
                        let mut out = BytesMut::zeroed(head);
                        response.encode(&mut out, version).ok()?;
                        out.windows(4).any(|bytes| bytes == MARK.to_be_bytes()).then_some(out)
                    })*
                    _ => None,
                }
            };
        }
        responses! {
            0 => ProduceResponse, 1 => FetchResponse, 2 => ListOffsetsResponse,
            3 => MetadataResponse, 8 => OffsetCommitResponse, 9 => OffsetFetchResponse,
            10 => FindCoordinatorResponse, 11 => JoinGroupResponse, 12 => HeartbeatResponse,
            13 => LeaveGroupResponse, 14 => SyncGroupResponse, 15 => DescribeGroupsResponse,
            16 => ListGroupsResponse, 18 => ApiVersionsResponse, 19 => CreateTopicsResponse,
            20 => DeleteTopicsResponse, 21 => DeleteRecordsResponse, 22 => InitProducerIdResponse,
            23 => OffsetForLeaderEpochResponse, 24 => AddPartitionsToTxnResponse,
            25 => AddOffsetsToTxnResponse, 26 => EndTxnResponse, 28 => TxnOffsetCommitResponse,
            32 => DescribeConfigsResponse, 33 => AlterConfigsResponse,
            35 => DescribeLogDirsResponse, 37 => CreatePartitionsResponse,
            42 => DeleteGroupsResponse, 43 => ElectLeadersResponse,
            44 => IncrementalAlterConfigsResponse, 45 => AlterPartitionReassignmentsResponse,
            46 => ListPartitionReassignmentsResponse, 47 => OffsetDeleteResponse,
            48 => DescribeClientQuotasResponse, 49 => AlterClientQuotasResponse,
            60 => DescribeClusterResponse, 61 => DescribeProducersResponse,
            65 => DescribeTransactionsResponse, 66 => ListTransactionsResponse,
            68 => ConsumerGroupHeartbeatResponse, 69 => ConsumerGroupDescribeResponse,
            74 => ListConfigResourcesResponse, 75 => DescribeTopicPartitionsResponse,
        }
    }

    #[test]
    fn throttle_times_are_where_the_codec_has_them() {
        for api in APIS.iter().filter(|api| ![18, 27, 47].contains(&api.key)) {
            for version in api.served_since..=api.max_version {
                let flexible = api.is_flexible(version);
                let frame = marked(api.key, version, if flexible { 9 } else { 8 });
                let length = frame.as_ref().map_or(100, |frame| frame.len());
                let place = place_of_throttle_time(api.key, version, flexible, length);
                let found = frame.as_ref().zip(place).map(|(frame, at)| &frame[at..at + 4]);
                let case = format!("{} v{version}", api.name);
                assert_eq!(frame.is_some(), place.is_some(), "{case}");
                assert_eq!(found, frame.is_some().then_some(&MARK.to_be_bytes()[..]), "{case}");
            }
        }
    }

    #[tokio::test]
    async fn only_work_is_timed() {
        let clock = thalweg_core::env::Env::real().clock;
        let ((), busy) = timed(&*clock, tokio::time::sleep(Duration::from_millis(50))).await;
        assert!(busy < Duration::from_millis(25), "{busy:?}");
        let work = async { (0..100_000).map(std::hint::black_box).count() };
        let (count, busy) = timed(&*clock, work).await;
        assert!(count == 100_000 && !busy.is_zero());
    }
}
