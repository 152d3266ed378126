//! Simulated threads: bodies wait in a queue and run to their end, one at a time, in
//! an order that the seed decides.
//!
//! A body must not block on another one (a channel that a later body fills, a condition
//! that it signals): nothing runs beside it, so it would wait for ever. Code with such
//! threads is tested through its sans-IO core, or on real threads.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::{JoinHandle, Random, Spawn};
use super::SimRandom;

/// Collects bodies and runs them when told to.
pub struct SimSpawn(Arc<Mutex<Queue>>);

struct Queue {
    random: SimRandom,
    waiting: Vec<Thread>,
    /// Outcome by thread number: `None` until it ended.
    ended: Vec<Option<bool>>,
}

struct Thread {
    number: usize,
    name: String,
    body: Box<dyn FnOnce() + Send>,
}

impl SimSpawn {
    pub(super) fn new(random: SimRandom) -> Self {
        Self(Arc::new(Mutex::new(Queue { random, waiting: Vec::new(), ended: Vec::new() })))
    }

    /// Runs one waiting body, chosen by the seed. Returns its name, or `None` where no
    /// body waits.
    pub fn run_one(&self) -> Option<String> {
        let thread = {
            let mut queue = self.0.lock();
            let chosen = queue.random.below(queue.waiting.len() as u64) as usize;
            if queue.waiting.is_empty() {
                return None;
            }
            queue.waiting.remove(chosen)
        };
        let name = thread.name.clone();
        run(&self.0, thread);
        Some(name)
    }

    /// Runs bodies until none waits, those included that bodies spawn; says how many.
    pub fn run_all(&self) -> usize {
        let mut count = 0;
        while self.run_one().is_some() {
            count += 1;
        }
        count
    }

    /// Names of the waiting bodies, in the order in which they were spawned.
    pub fn waiting(&self) -> Vec<String> {
        self.0.lock().waiting.iter().map(|thread| thread.name.clone()).collect()
    }

    /// Throws away the waiting bodies, as the end of the process does. Joining one of
    /// them says that it did not end well.
    pub(super) fn clear(&self) {
        let waiting = {
            let mut queue = self.0.lock();
            let waiting = std::mem::take(&mut queue.waiting);
            for thread in &waiting {
                queue.ended[thread.number] = Some(false);
            }
            waiting
        };
        // Outside the lock: what a body owns may spawn when it is dropped.
        drop(waiting);
    }
}

fn run(queue: &Mutex<Queue>, thread: Thread) {
    let well = catch_unwind(AssertUnwindSafe(thread.body)).is_ok();
    queue.lock().ended[thread.number] = Some(well);
}

/// Joining a body that still waits runs it on the spot. One that is running further up
/// the stack cannot be waited for; that counts as ended badly.
fn join(queue: &Mutex<Queue>, number: usize) -> bool {
    let thread = {
        let mut queue = queue.lock();
        let place = queue.waiting.iter().position(|thread| thread.number == number);
        place.map(|place| queue.waiting.remove(place))
    };
    if let Some(thread) = thread {
        run(queue, thread);
    }
    queue.lock().ended[number].unwrap_or(false)
}

impl Spawn for SimSpawn {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle> {
        let mut queue = self.0.lock();
        let number = queue.ended.len();
        queue.ended.push(None);
        queue.waiting.push(Thread { number, name: name.to_owned(), body });
        let shared = self.0.clone();
        Ok(JoinHandle::new(move || join(&shared, number)))
    }
}

impl std::fmt::Debug for SimSpawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SimSpawn").field(&self.waiting()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64) -> Vec<String> {
        let spawn = SimSpawn::new(SimRandom::new(seed));
        for name in ["a", "b", "c", "d", "e"] {
            spawn.spawn(name, Box::new(|| {})).expect("spawn");
        }
        std::iter::from_fn(|| spawn.run_one()).collect()
    }

    #[test]
    fn the_seed_decides_the_order() {
        assert_eq!(order(3), order(3));
        assert!((0..20).any(|seed| order(seed) != order(3)));
    }

    #[test]
    fn joining_runs_the_body_and_tells_a_panic() {
        let spawn = SimSpawn::new(SimRandom::new(0));
        let done = Arc::new(Mutex::new(false));
        let flag = done.clone();
        let well = spawn.spawn("well", Box::new(move || *flag.lock() = true)).expect("spawn");
        let badly = spawn.spawn("badly", Box::new(|| panic!("on purpose"))).expect("spawn");
        assert!(!*done.lock(), "nothing runs by itself");
        assert!(well.join());
        assert!(*done.lock());
        assert!(!badly.join());
        assert_eq!(spawn.run_all(), 0);
    }

    #[test]
    fn bodies_may_spawn_and_a_crash_ends_what_waits() {
        let spawn = Arc::new(SimSpawn::new(SimRandom::new(0)));
        let inner = spawn.clone();
        let body = move || drop(inner.spawn("child", Box::new(|| {})));
        spawn.spawn("parent", Box::new(body)).expect("spawn");
        assert_eq!(spawn.run_one().as_deref(), Some("parent"));
        assert_eq!(spawn.waiting(), ["child"]);
        let lost = spawn.spawn("lost", Box::new(|| {})).expect("spawn");
        spawn.clear();
        assert!(!lost.join());
        assert_eq!(spawn.run_all(), 0);
    }
}
