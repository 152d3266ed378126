//! Writes requests of any shape: valid as far as their form goes, with values that mean
//! something more often than not.

use thalweg_core::env::{Random, SeededRandom};
use thalweg_core::record_batch::Compression;
use thalweg_testkit::mutate::{below, extreme, mutate, pick, varint};

use super::names::{assignment, batch, names, subscription};
use super::texts::{self, Text};
use crate::api::Api;
use crate::guard::{Field, Kind, Schema, schema_of};

/// Elements of an array that is to be long.
const MANY: [usize; 3] = [2_000, 30_000, 150_000];

/// A request on its way.
pub(super) struct Writer<'a> {
    random: &'a SeededRandom,
    key: i16,
    version: i16,
    flexible: bool,
    /// An array is to be long, and all made of as little as possible.
    is_dense: bool,
    /// The long one was written.
    has_many: bool,
    out: Vec<u8>,
}

/// A frame without its length: header and body.
pub(super) fn request(random: &SeededRandom, api: &Api, version: i16, is_dense: bool) -> Vec<u8> {
    let schema = schema_of(api.key).expect("each API has one");
    let flexible = version >= schema.flexible_since;
    let mut writer = Writer {
        random,
        key: api.key,
        version,
        flexible: false,
        is_dense: false,
        has_many: false,
        out: Vec::new(),
    };
    for number in [api.key, version, 0, 7] {
        writer.out.extend(number.to_be_bytes());
    }
    match random.chance(900_000) {
        true => writer.text("client"),
        false => writer.null(2),
    }
    if flexible {
        writer.out.push(0);
    }
    (writer.flexible, writer.is_dense) = (flexible, is_dense);
    writer.request(schema);
    writer.out
}

impl Writer<'_> {
    fn chance(&self, percent: u32) -> bool {
        self.random.chance(percent * 10_000)
    }

    fn request(&mut self, schema: &Schema) {
        self.fields(schema.fields, 0);
        if !self.flexible {
            return;
        }
        let known = schema.tagged.iter().filter(|field| self.version >= field.since);
        let known: Vec<_> = known.filter(|_| self.random.chance(200_000)).collect();
        let unknown = usize::from(self.chance(5));
        self.out.extend(varint((known.len() + unknown) as i64));
        for field in known {
            let whole = std::mem::take(&mut self.out);
            self.fields(field.fields, usize::MAX);
            if field.is_struct {
                self.out.push(0);
            }
            let inner = std::mem::replace(&mut self.out, whole);
            self.out.extend(varint(field.tag.into()));
            self.out.extend(varint(inner.len() as i64));
            self.out.extend(inner);
        }
        (0..unknown).for_each(|_| self.out.extend([9, 2, 1, 2]));
    }

    /// Writes fields, the first of whose texts is the `number`th of the shape.
    fn fields(&mut self, fields: &[Field], mut number: usize) {
        for field in fields {
            if (field.since..=field.until).contains(&self.version) {
                self.field(&field.kind, number);
            }
            number = number.saturating_add(texts_of(&field.kind));
        }
    }

    fn field(&mut self, kind: &Kind, number: usize) {
        match kind {
            Kind::Fixed(size) => self.number(*size),
            Kind::Str => self.name(number),
            Kind::Bytes if self.is_dense => self.raw(&[], 4),
            Kind::Bytes => self.bytes(),
            Kind::Scalars(size) => {
                for _ in 0..self.count() {
                    self.number(*size);
                }
            }
            Kind::Strs => {
                for _ in 0..self.count() {
                    self.name(number);
                }
            }
            Kind::Optional(fields) => {
                let is_there = self.chance(50);
                self.out.push(if is_there { 1 } else { 0xff });
                if is_there {
                    self.structure(fields, number);
                }
            }
            Kind::Array(fields) => {
                for _ in 0..self.count() {
                    self.structure(fields, number);
                }
            }
        }
    }

    fn structure(&mut self, fields: &[Field], number: usize) {
        self.fields(fields, number);
        if self.flexible {
            self.out.push(0);
        }
    }

    fn number(&mut self, size: usize) {
        let random = self.random;
        let value = match size {
            _ if self.chance(10) => extreme(random, self.out.len()),
            1 => *pick(random, &[0, 0, 1, 2]),
            2 => *pick(random, &[0, 0, -1, 1]),
            4 => *pick(random, &[0, 0, 1, -1, 2, 1_000, 10_000]),
            8 => *pick(random, &[0, 0, 1, -1, -2, -3, 1_000]),
            _ => 0,
        };
        match size {
            16 => {
                let known = &names().topics;
                let id = if self.chance(80) { *pick(random, known) } else { [0; 16] };
                self.out.extend(id);
            }
            size => self.out.extend(&value.to_be_bytes()[8 - size..]),
        }
    }

    fn name(&mut self, number: usize) {
        let random = self.random;
        if self.is_dense {
            return self.text("");
        }
        let of = texts::of(self.key).get(number).copied().unwrap_or(Text::Any);
        match random.below(100) {
            0..5 => self.null(2),
            5..7 => self.raw(&[b'a', 0xff, 0xc0], 2),
            7 => {
                let long = "x".repeat(*pick(random, &[249, 250, 4_096, 32_767, 32_768, 70_000]));
                self.text(if self.flexible { &long } else { &long[..long.len().min(32_767)] });
            }
            8..14 => {
                let any = pick(random, &[Text::Topic, Text::Group, Text::Config, Text::Tx]);
                let text = *pick(random, any.known());
                self.text(text);
            }
            14..40 if of == Text::Member => self.text(&names().member),
            _ => {
                let text = *pick(random, of.known());
                self.text(text);
            }
        }
    }

    fn bytes(&mut self) {
        let random = self.random;
        let mut bytes = match self.key {
            0 => batch(*pick(random, &Compression::ALL)),
            11 => subscription(),
            _ => assignment(),
        }
        .to_vec();
        match random.below(10) {
            0 => return self.null(4),
            1 => bytes.clear(),
            2..5 => mutate(random, &mut bytes, &subscription()),
            _ => {}
        }
        self.raw(&bytes, 4);
    }

    fn count(&mut self) -> usize {
        let count = match self.random.below(20) {
            _ if self.is_dense && !self.has_many && self.chance(50) => {
                self.has_many = true;
                *pick(self.random, &MANY)
            }
            0 => {
                self.null(4);
                return 0;
            }
            1..3 => 0,
            3..16 => 1,
            16..19 => 2,
            _ => 1 + below(self.random, 20),
        };
        self.length(count, 4);
        count
    }

    fn text(&mut self, text: &str) {
        self.raw(text.as_bytes(), 2);
    }

    fn raw(&mut self, bytes: &[u8], width: usize) {
        self.length(bytes.len(), width);
        self.out.extend_from_slice(bytes);
    }

    fn null(&mut self, width: usize) {
        match self.flexible {
            true => self.out.push(0),
            false => self.out.extend(&[0xff; 4][..width]),
        }
    }

    fn length(&mut self, length: usize, width: usize) {
        match self.flexible {
            true => self.out.extend(varint(length as i64 + 1)),
            false => self.out.extend(&(length as u32).to_be_bytes()[4 - width..]),
        }
    }
}

/// Texts in a field's shape.
fn texts_of(kind: &Kind) -> usize {
    match kind {
        Kind::Str | Kind::Strs => 1,
        Kind::Array(fields) | Kind::Optional(fields) => {
            fields.iter().map(|field| texts_of(&field.kind)).sum()
        }
        Kind::Fixed(_) | Kind::Bytes | Kind::Scalars(_) => 0,
    }
}
