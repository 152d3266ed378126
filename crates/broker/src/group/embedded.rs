//! The protocol that consumers embed in the classic group protocol
//! (ConsumerProtocolSubscription, ConsumerProtocolAssignment). The coordinator reads it
//! to protect offsets from being deleted, and to let classic members into consumer
//! groups; otherwise it is the members' own business.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Protocol type of consumer groups.
pub(crate) const CONSUMER: &str = "consumer";
/// Newest version of an assignment, which all clients read.
const VERSION_NEWEST: i16 = 3;

/// Topics, each with partitions.
pub(crate) type TopicPartitions = Vec<(String, Vec<i32>)>;

/// A consumer's subscription, any version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EmbeddedSubscription {
    pub(crate) version: i16,
    pub(crate) topics: BTreeSet<String>,
    /// Partitions that it has already, from version 1 on.
    pub(crate) owned: TopicPartitions,
    pub(crate) rack_id: Option<String>,
}

/// Reads a subscription; `None` where it is none.
pub(crate) fn subscription(mut bytes: &[u8]) -> Option<EmbeddedSubscription> {
    let version = bytes.try_get_i16().ok()?;
    let topics = array(&mut bytes, text)?.into_iter().collect();
    let mut read = EmbeddedSubscription { version, topics, ..Default::default() };
    let _user_data = run(&mut bytes)?;
    if version >= 1 {
        read.owned = partitions(&mut bytes)?;
    }
    if version >= 2 {
        let _generation = bytes.try_get_i32().ok()?;
    }
    if version >= 3 {
        read.rack_id = optional_text(&mut bytes)?;
    }
    Some(read)
}

/// Reads an assignment; `None` where it is none. No bytes at all assign nothing.
pub(crate) fn assignment(mut bytes: &[u8]) -> Option<TopicPartitions> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let _version = bytes.try_get_i16().ok()?;
    partitions(&mut bytes)
}

/// Writes an assignment for a member whose subscription has this version.
pub(crate) fn encode_assignment(
    version: i16,
    partitions: &BTreeMap<String, BTreeSet<i32>>,
) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(version.clamp(0, VERSION_NEWEST));
    out.put_i32(partitions.len() as i32);
    for (topic, partitions) in partitions {
        out.put_i16(topic.len() as i16);
        out.put_slice(topic.as_bytes());
        out.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    // No user data.
    out.put_i32(-1);
    out.freeze()
}

/// Writes a subscription, in the first version.
#[cfg(test)]
pub(crate) fn encode_subscription(topics: &[&str], owned: Option<&[(&str, i32)]>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(i16::from(owned.is_some()));
    out.put_i32(topics.len() as i32);
    for topic in topics {
        out.put_i16(topic.len() as i16);
        out.put_slice(topic.as_bytes());
    }
    out.put_i32(-1);
    if let Some(owned) = owned {
        out.put_i32(owned.len() as i32);
        for (topic, partition) in owned {
            out.put_i16(topic.len() as i16);
            out.put_slice(topic.as_bytes());
            out.put_i32(1);
            out.put_i32(*partition);
        }
    }
    out.freeze()
}

fn array<'a, T>(
    bytes: &mut &'a [u8],
    mut element: impl FnMut(&mut &'a [u8]) -> Option<T>,
) -> Option<Vec<T>> {
    let count = bytes.try_get_i32().ok()?;
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(element(bytes)?);
    }
    Some(elements)
}

fn optional_text(bytes: &mut &[u8]) -> Option<Option<String>> {
    let length = bytes.try_get_i16().ok()?;
    let Ok(length) = usize::try_from(length) else { return Some(None) };
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(String::from_utf8(text.to_vec()).ok()?))
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    optional_text(bytes)?
}

/// A run of bytes that may be null.
fn run<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = bytes.try_get_i32().ok()?;
    let (taken, rest) = bytes.split_at_checked(usize::try_from(length).unwrap_or(0))?;
    *bytes = rest;
    Some(taken)
}

fn partitions(bytes: &mut &[u8]) -> Option<TopicPartitions> {
    array(bytes, |bytes| Some((text(bytes)?, array(bytes, |bytes| bytes.try_get_i32().ok())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription() {
        let bytes = encode_subscription(&["a", "bc"], Some(&[("a", 3), ("bc", 0)]));
        let read = subscription(&bytes).expect("a subscription");
        assert_eq!(read.topics, ["a", "bc"].map(String::from).into());
        assert_eq!(read.owned, [("a".into(), vec![3]), ("bc".into(), vec![0])]);
        assert!((0..bytes.len()).all(|length| subscription(&bytes[..length]).is_none()));
        let newest =
            [0, 3, 0, 0, 0, 1, 0, 1, b'a', 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, b'r'];
        let read = subscription(&newest).expect("a subscription");
        assert_eq!((read.version, read.rack_id.as_deref()), (3, Some("r")));
        assert_eq!(subscription(&[0, 1, 127, 255, 255, 255]), None, "a count beyond the end");
    }

    #[test]
    fn an_assignment_is_read_as_it_is_written() {
        let partitions = BTreeMap::from([("a".into(), [0, 2].into()), ("b".into(), [1].into())]);
        let bytes = encode_assignment(1, &partitions);
        let read = assignment(&bytes).expect("an assignment");
        assert_eq!(read, [("a".into(), vec![0, 2]), ("b".into(), vec![1])]);
        assert_eq!(bytes[bytes.len() - 4..], [255; 4], "null user data");
        assert_eq!(assignment(&[]), Some(Vec::new()));
        assert_eq!(assignment(b"partitions of one"), None);
    }
}
