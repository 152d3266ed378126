//! The list of verbs, shared by `produce -f` and `consume -f`.

use super::format::{NumberField, TextField};

/// A percent verb.
pub(super) struct Verb {
    pub(super) letter: char,
    pub(super) field: Field,
    /// Whether `produce -f` reads it.
    pub(super) reads: bool,
    pub(super) meaning: &'static str,
}

/// What a verb stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Text(TextField),
    Number(NumberField),
    /// A number that four bytes hold, high byte first (kcat's `%R`).
    Big32(NumberField),
    Timestamp,
    Headers,
    Attribute,
    /// A character that stands for itself.
    Character,
}

const fn verb(letter: char, field: Field, reads: bool, meaning: &'static str) -> Verb {
    Verb { letter, field, reads, meaning }
}

/// Every verb. Where kcat and rpk differ (`%T`, `%K` of a null), rpk's meaning holds.
pub(super) const VERBS: &[Verb] = &[
    verb('t', Field::Text(TextField::Topic), true, "topic"),
    verb('T', Field::Number(NumberField::TopicLength), true, "length of the topic"),
    verb('k', Field::Text(TextField::Key), true, "key"),
    verb('K', Field::Number(NumberField::KeyLength), true, "length of the key"),
    verb('v', Field::Text(TextField::Value), true, "value"),
    verb('s', Field::Text(TextField::Value), true, "value (kcat)"),
    verb('V', Field::Number(NumberField::ValueLength), true, "length of the value"),
    verb('S', Field::Number(NumberField::ValueLengthOrNull), true, "the same, -1 for null (kcat)"),
    verb('R', Field::Big32(NumberField::ValueLengthOrNull), true, "%S as %S{big32} (kcat)"),
    verb('h', Field::Headers, true, "headers: %h{ %k=%v }; without braces k=v,k=v (kcat)"),
    verb('H', Field::Number(NumberField::HeaderCount), true, "number of headers"),
    verb('p', Field::Number(NumberField::Partition), true, "partition"),
    verb('o', Field::Number(NumberField::Offset), false, "offset"),
    verb('e', Field::Number(NumberField::LeaderEpoch), false, "leader epoch, -1 if unknown"),
    verb('d', Field::Timestamp, true, "timestamp in milliseconds"),
    verb('a', Field::Attribute, false, "attribute: %a{timestamp-type}"),
    verb('[', Field::Number(NumberField::LogStart), false, "the partition's first offset"),
    verb('|', Field::Number(NumberField::LastStable), false, "its last stable offset"),
    verb(']', Field::Number(NumberField::HighWatermark), false, "its high watermark"),
    verb('i', Field::Number(NumberField::Printed), false, "how many records were printed"),
    verb('%', Field::Character, true, "a percent sign"),
    verb('{', Field::Character, true, "a left brace"),
    verb('}', Field::Character, true, "a right brace"),
];

/// The verbs for an error message.
pub(super) fn known() -> String {
    let verbs: Vec<String> = VERBS.iter().map(|verb| format!("%{}", verb.letter)).collect();
    verbs.join(" ")
}

/// What `thalweg consume --help` says about `-f`. A test compares it with [`VERBS`].
pub(crate) const WRITE_HELP: &str = "\
FORMAT (-f), the union of kcat's and rpk's; where they differ, rpk's meaning holds:
  %t topic                    %T its length
  %k key                      %K its length (0 for null)
  %v value, also %s (kcat)    %V its length (0 for null), %S -1 for null (kcat)
  %R value length as four big-endian bytes (kcat)
  %h headers as k=v,k=v (kcat)      %h{ %k=%v } each header in a format of its own
  %H number of headers
  %p partition                %o offset               %e leader epoch
  %d timestamp in ms          %d{go[2006-01-02]}      %d{strftime[%F %T]}   (UTC)
  %a{timestamp-type} 0 the producer's, 1 the broker's
  %[ log start  %| last stable offset  %] high watermark of the partition
  %i records printed          %% %{ %} the characters themselves
  \\n \\t \\r \\0 \\\\ \\xNN
Bytes take {hex} {base64} {base64raw} {json} {unpack[<bBhHiIqQcsx$]}; numbers take {ascii}
{hex64|32|16|8|4} {big64|32|16|8} {little64|32|16|8} {byte} {bool}.
kcat's %T (timestamp) is %d here.";

/// What `thalweg produce --help` says about `-f`.
pub(crate) const READ_HELP: &str = "\
FORMAT (-f), as rpk's: every time all of it has matched, a record is written. A field ends
before the text that follows it, or has the length that was read before it.
  %t topic  %T its length     %k key  %K its length     %v value (%s)  %V its length
  %p partition                %d timestamp in ms        %% %{ %} the characters themselves
  %H number of headers        %h{ %k=%v } that many headers
  \\n \\t \\r \\0 \\\\ \\xNN
Bytes take {hex} {base64} {base64raw} {json} {re[EXPRESSION]}; numbers take {N} for N digits,
{ascii} {hex64|32|16|8|4} {big64|32|16|8} {little64|32|16|8} {byte} {bool}.
  -f '%k %v\\n'   -f '%K{big16}%k%V{big32}%v'   -f '%k %v{json}\\n'   -f '%H{1}%h{%k=%v;} %v\\n'";
