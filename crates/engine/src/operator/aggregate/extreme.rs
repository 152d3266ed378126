//! MIN and MAX.

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::form_of;
use super::input::Input;
use super::multiset::Multisets;
use super::value::Value;
use crate::operator::values::Form;

/// The accumulator for a type; of an updating input it keeps all values.
pub(super) fn build(
    max: bool,
    argument: &DataType,
    result: &DataType,
    updating: bool,
) -> Result<Box<dyn Accumulator>> {
    let form = form_of(if max { "MAX" } else { "MIN" }, argument, result)?;
    Ok(match form {
        Form::Word => build_of::<i64>(max, result, updating),
        Form::Wide => build_of::<i128>(max, result, updating),
        Form::Bytes => build_of::<Box<[u8]>>(max, result, updating),
    })
}

fn build_of<V: Value>(max: bool, result: &DataType, updating: bool) -> Box<dyn Accumulator> {
    let result = result.clone();
    if updating {
        return Box::new(ExtremeOfAll::<V> { max, result, values: Multisets::new() });
    }
    Box::new(Extreme::<V> { max, result, values: Vec::new(), heap_bytes: 0 })
}

/// The extreme so far: enough where nothing is taken back.
struct Extreme<V> {
    max: bool,
    result: DataType,
    values: Vec<Option<V>>,
    heap_bytes: usize,
}

impl<V: Value> Extreme<V> {
    #[inline]
    fn offer(&mut self, slot: usize, value: &V::Ref) {
        let kept = &mut self.values[slot];
        let better = match kept {
            None => true,
            Some(kept) if self.max => value > kept.as_ref(),
            Some(kept) => value < kept.as_ref(),
        };
        if better {
            let value = V::own(value);
            self.heap_bytes += value.heap_bytes();
            self.heap_bytes -= kept.as_ref().map_or(0, Value::heap_bytes);
            *kept = Some(value);
        }
    }

    fn values_of(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values = slots.iter().map(|&slot| self.values[slot as usize].as_ref());
        V::write(&self.result, values.map(|value| value.map(Value::as_ref)))
    }
}

impl<V: Value> Accumulator for Extreme<V> {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            let value = self.values[slot as usize].take();
            self.heap_bytes -= value.as_ref().map_or(0, Value::heap_bytes);
        }
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        V::prepare(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let column = V::column(rows.input)?;
        rows.for_each(|slot, row, _| self.offer(slot, V::get(column, row)));
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            if let Some(value) = self.values[from].clone() {
                self.offer(into, value.as_ref());
            }
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        self.values_of(slots)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![self.result.clone()]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.values_of(slots)?])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        for (&slot, value) in slots.iter().zip(V::read(&state[0])?) {
            if let Some(value) = value {
                self.offer(slot as usize, value.as_ref());
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<V>>() + self.heap_bytes
    }
}

/// The extreme of all values that are there: what an updating input needs.
struct ExtremeOfAll<V> {
    max: bool,
    result: DataType,
    values: Multisets<V>,
}

impl<V: Value> Accumulator for ExtremeOfAll<V> {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots);
    }

    fn clear(&mut self, slots: &[u32]) {
        slots.iter().for_each(|&slot| self.values.clear(slot));
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        V::prepare(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let column = V::column(rows.input)?;
        rows.for_each(|slot, row, sign| {
            self.values.add(slot, V::own(V::get(column, row)), sign);
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        pairs(from, into).for_each(|(from, into)| self.values.merge(from, into));
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values = slots.iter().map(|&slot| {
            let mut present =
                self.values.values(slot).iter().filter(|(_, count)| **count > 0).map(|(v, _)| v);
            let extreme = if self.max { present.next_back() } else { present.next() };
            extreme.map(Value::as_ref)
        });
        V::write(&self.result, values)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![Multisets::<V>::state_type(&self.result)]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.values.export(&self.result, slots)?])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.values.import(slots, &state[0])
    }

    fn memory_bytes(&self) -> usize {
        self.values.memory_bytes()
    }
}
