//! What the coordinator reads of a subscription, which is otherwise the members' own
//! business: the topics, to protect their offsets from being deleted.

use bytes::Buf;

/// Protocol type of consumer groups.
pub(super) const CONSUMER: &str = "consumer";

/// Whether a consumer's subscription (ConsumerProtocolSubscription, any version) names
/// a topic. What cannot be read is taken to.
pub(super) fn names_topic(subscription: &[u8], topic: &str) -> bool {
    topics(subscription).is_none_or(|topics| topics.contains(&topic.as_bytes()))
}

fn topics(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let _version = bytes.try_get_i16().ok()?;
    let count = bytes.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::from(bytes.try_get_u16().ok()?);
        let (topic, rest) = bytes.split_at_checked(length)?;
        topics.push(topic);
        bytes = rest;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_subscription() {
        let subscription = [0, 1, 0, 0, 0, 2, 0, 1, b'a', 0, 2, b'b', b'c', 255, 255, 255, 255];
        assert!(names_topic(&subscription, "a") && names_topic(&subscription, "bc"));
        assert!(!names_topic(&subscription, "b"));
        assert!(names_topic(&[0, 1, 127, 0, 0, 0], "anything"), "unreadable");
    }
}
