//! A format checked for reading: where each field ends is known before any input is.

use super::FormatError;
use super::format::{Format, NumberField, TextField, What};
use super::text::TextEncoding;

/// A format for reading.
#[derive(Debug, Clone)]
pub(crate) struct ReadPlan {
    pub(super) steps: Vec<ReadStep>,
}

/// What is read next.
#[derive(Debug, Clone)]
pub(super) struct ReadStep {
    pub(super) what: What,
    /// Where a field of bytes ends.
    pub(super) end: FieldEnd,
    /// The fields of a header.
    pub(super) header: Option<ReadPlan>,
}

/// Where a field of bytes ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldEnd {
    /// After as many bytes as a number before it said.
    Length,
    /// Before this text.
    Before(Vec<u8>),
    /// Its encoding says it (a regular expression, JSON).
    Itself,
    /// With the input.
    Input,
}

impl ReadPlan {
    /// Parses and checks the format of an input.
    ///
    /// # Errors
    /// What is wrong with it, under a caret.
    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        let format = Format::for_reading(text)?;
        let plan = plan(&format, false)?;
        let reads_data =
            |step: &ReadStep| matches!(step.what, What::Text(TextField::Key | TextField::Value, _));
        if !plan.steps.iter().any(reads_data) {
            return Err(FormatError::new(text, 0, "reads neither a key (%k) nor a value (%v)"));
        }
        Ok(plan)
    }

    /// Whether records bring their topic.
    pub(crate) fn reads_topic(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.what, What::Text(TextField::Topic, _)))
    }
}

fn plan(format: &Format, header: bool) -> Result<ReadPlan, FormatError> {
    let mut sized = Vec::new();
    let mut counted = false;
    let mut steps = Vec::new();
    for (index, part) in format.parts.iter().enumerate() {
        let wrong = |message: &str| Err(FormatError::new(&format.text, part.at, message));
        let mut step = ReadStep { what: part.what.clone(), end: FieldEnd::Itself, header: None };
        match &part.what {
            What::Number(NumberField::HeaderCount, _) => counted = true,
            What::Number(field, _) => sized.extend(measured(*field)),
            What::Headers(inner) => {
                if !counted {
                    return wrong("the number of headers has to be read before them: %H{1}%h{...}");
                }
                let inner = plan(inner, true);
                step.header = Some(inner.map_err(|error| error.inside(&format.text, part.at + 3))?);
            }
            What::Text(field, encoding) => {
                let next = format.parts.get(index + 1).map(|part| &part.what);
                step.end = match (encoding, next) {
                    _ if sized.contains(field) => FieldEnd::Length,
                    (TextEncoding::Json | TextEncoding::Regex(_), _) => FieldEnd::Itself,
                    (_, Some(What::Literal(text))) => FieldEnd::Before(text.clone()),
                    (_, None) if !header => FieldEnd::Input,
                    (_, None) => {
                        return wrong("no text ends this field before the next header begins");
                    }
                    (_, Some(_)) => {
                        return wrong(
                            "nothing ends this field: put text behind it, or its length before it",
                        );
                    }
                };
            }
            _ => {}
        }
        steps.push(step);
    }
    Ok(ReadPlan { steps })
}

/// The field whose length a number is.
pub(super) fn measured(field: NumberField) -> Option<TextField> {
    match field {
        NumberField::TopicLength => Some(TextField::Topic),
        NumberField::KeyLength => Some(TextField::Key),
        NumberField::ValueLength | NumberField::ValueLengthOrNull => Some(TextField::Value),
        _ => None,
    }
}
