//! FIRST_VALUE and LAST_VALUE, in order of arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, UInt64Array};
use arrow_schema::DataType;
use thalweg_stream::error::Result;

use super::accumulator::{Accumulator, Update, pairs};
use super::form_of;
use super::input::{Input, misfit};
use super::list::{Pairs, pairs_array, pairs_type};
use super::value::Value;
use crate::operator::values::Form;

/// The accumulator for a type; of an updating input it keeps all values.
pub(super) fn build(
    last: bool,
    argument: &DataType,
    result: &DataType,
    updating: bool,
) -> Result<Box<dyn Accumulator>> {
    let form = form_of(if last { "LAST_VALUE" } else { "FIRST_VALUE" }, argument, result)?;
    Ok(match form {
        Form::Word => build_of::<i64>(last, result, updating),
        Form::Wide => build_of::<i128>(last, result, updating),
        Form::Bytes => build_of::<Box<[u8]>>(last, result, updating),
    })
}

fn build_of<V: Value>(last: bool, result: &DataType, updating: bool) -> Box<dyn Accumulator> {
    let result = result.clone();
    if updating {
        return Box::new(ArrivalOfAll::<V> { last, result, slots: Vec::new(), heap_bytes: 0 });
    }
    Box::new(Arrival::<V> { last, result, values: Vec::new(), heap_bytes: 0 })
}

/// The first or last value so far, with its place in the order of arrival: merged panes
/// come in order of event time, not of arrival.
struct Arrival<V> {
    last: bool,
    result: DataType,
    values: Vec<Option<(u64, V)>>,
    heap_bytes: usize,
}

impl<V: Value> Arrival<V> {
    #[inline]
    fn offer(&mut self, slot: usize, arrival: u64, value: &V::Ref) {
        let kept = &mut self.values[slot];
        let better = kept
            .as_ref()
            .is_none_or(|(kept, _)| if self.last { arrival > *kept } else { arrival < *kept });
        if better {
            let value = V::own(value);
            self.heap_bytes += value.heap_bytes();
            self.heap_bytes -= kept.as_ref().map_or(0, |(_, kept)| kept.heap_bytes());
            *kept = Some((arrival, value));
        }
    }

    fn values_of(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values = slots.iter().map(|&slot| self.values[slot as usize].as_ref());
        V::write(&self.result, values.map(|value| value.map(|(_, value)| value.as_ref())))
    }
}

impl<V: Value> Accumulator for Arrival<V> {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, None);
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            let value = self.values[slot as usize].take();
            self.heap_bytes -= value.as_ref().map_or(0, |(_, value)| value.heap_bytes());
        }
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        V::prepare(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let column = V::column(rows.input)?;
        rows.for_each(|slot, row, _| {
            self.offer(slot, rows.arrival + row as u64, V::get(column, row));
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            if let Some((arrival, value)) = self.values[from].clone() {
                self.offer(into, arrival, value.as_ref());
            }
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        self.values_of(slots)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![DataType::UInt64, self.result.clone()]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let arrivals = slots
            .iter()
            .map(|&slot| self.values[slot as usize].as_ref().map_or(0, |(arrival, _)| *arrival));
        let arrivals = UInt64Array::from_iter_values(arrivals);
        Ok(vec![Arc::new(arrivals), self.values_of(slots)?])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let arrivals = uint64s(&state[0])?;
        for ((&slot, &arrival), value) in slots.iter().zip(arrivals).zip(V::read(&state[1])?) {
            if let Some(value) = value {
                self.offer(slot as usize, arrival, value.as_ref());
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<(u64, V)>>() + self.heap_bytes
    }
}

fn uint64s(array: &ArrayRef) -> Result<&[u64]> {
    Ok(array.as_primitive_opt::<UInt64Type>().ok_or_else(misfit)?.values())
}

/// All values that are there, in order of arrival: what an updating input needs. Taking
/// a value back takes its earliest arrival, as Flink does.
struct ArrivalOfAll<V> {
    last: bool,
    result: DataType,
    slots: Vec<Arrivals<V>>,
    heap_bytes: usize,
}

#[derive(Clone, Default)]
struct Arrivals<V> {
    in_order: BTreeMap<u64, V>,
    /// The same, by value; ascending.
    of_value: BTreeMap<V, std::collections::BTreeSet<u64>>,
}

impl<V: Value> Arrivals<V> {
    fn add(&mut self, arrival: u64, value: V) {
        self.of_value.entry(value.clone()).or_default().insert(arrival);
        self.in_order.insert(arrival, value);
    }

    fn take_back(&mut self, value: &V) -> bool {
        let Some(arrivals) = self.of_value.get_mut(value) else { return false };
        if let Some(arrival) = arrivals.pop_first() {
            self.in_order.remove(&arrival);
        }
        if arrivals.is_empty() {
            self.of_value.remove(value);
        }
        true
    }
}

impl<V: Value> ArrivalOfAll<V> {
    fn entry_bytes(value: &V) -> usize {
        2 * value.heap_bytes() + 3 * (size_of::<V>() + size_of::<u64>())
    }

    fn add(&mut self, slot: usize, arrival: u64, value: V) {
        self.heap_bytes += Self::entry_bytes(&value);
        self.slots[slot].add(arrival, value);
    }
}

impl<V: Value> Accumulator for ArrivalOfAll<V> {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, || Arrivals {
            in_order: BTreeMap::new(),
            of_value: BTreeMap::new(),
        });
    }

    fn clear(&mut self, slots: &[u32]) {
        for &slot in slots {
            let arrivals = &mut self.slots[slot as usize];
            self.heap_bytes -= arrivals.in_order.values().map(Self::entry_bytes).sum::<usize>();
            arrivals.in_order.clear();
            arrivals.of_value.clear();
        }
    }

    fn prepare(&self, argument: &ArrayRef) -> Result<Input> {
        V::prepare(argument)
    }

    fn update(&mut self, rows: &Update<'_>) -> Result<()> {
        let column = V::column(rows.input)?;
        rows.for_each(|slot, row, sign| {
            let value = V::own(V::get(column, row));
            if sign > 0 {
                self.add(slot, rows.arrival + row as u64, value);
            } else if self.slots[slot].take_back(&value) {
                self.heap_bytes -= Self::entry_bytes(&value);
            }
        });
        Ok(())
    }

    fn merge(&mut self, from: &[u32], into: &[u32]) {
        for (from, into) in pairs(from, into) {
            for (arrival, value) in self.slots[from].in_order.clone() {
                self.add(into, arrival, value);
            }
        }
    }

    fn evaluate(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values = slots.iter().map(|&slot| {
            let in_order = &self.slots[slot as usize].in_order;
            let entry =
                if self.last { in_order.last_key_value() } else { in_order.first_key_value() };
            entry.map(|(_, value)| value.as_ref())
        });
        V::write(&self.result, values)
    }

    fn state_types(&self) -> Vec<DataType> {
        vec![pairs_type(("arrival", &DataType::UInt64), ("value", &self.result))]
    }

    fn export(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let orders = || slots.iter().map(|&slot| &self.slots[slot as usize].in_order);
        let arrivals = UInt64Array::from_iter_values(orders().flat_map(BTreeMap::keys).copied());
        let values = orders().flat_map(BTreeMap::values).map(|value| Some(value.as_ref()));
        let values = V::write(&self.result, values)?;
        let lengths = orders().map(BTreeMap::len);
        Ok(vec![pairs_array(("arrival", "value"), lengths, Arc::new(arrivals), values)?])
    }

    fn import(&mut self, slots: &[u32], state: &[ArrayRef]) -> Result<()> {
        let pairs = Pairs::read(&state[0])?;
        let arrivals = uint64s(&pairs.first)?;
        let values = V::read(&pairs.second)?;
        for ((value, &arrival), &row) in values.into_iter().zip(arrivals).zip(&pairs.rows) {
            if let Some(value) = value {
                self.add(slots[row] as usize, arrival, value);
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Arrivals<V>>() + self.heap_bytes
    }
}
