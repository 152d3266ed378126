//! Which entries of the catalog's log still say something: what was dropped again, and jobs
//! that are gone, need not be told at the next start.
//!
//! Everything is decided from the entries alone, and in doubt an entry stays. A definition
//! that was dropped stays together with its drop where an entry between the two that stays
//! names it, directly or by way of other definitions: that one was planned with it, and is
//! planned again at the next start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use thalweg_sql::SessionState;
use thalweg_sql::parser::{Name, ObjectKind, Statement};

use super::catalog_log::{CatalogEvent, EndReason};

/// Name spaces: tables and views share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Space {
    Relation,
    Function,
    Database,
}

type Key = (Space, String);

/// What an entry does to the catalog.
enum Effect {
    Create {
        key: Key,
        short: String,
        temporary: bool,
    },
    Drop {
        key: Key,
        cascade: bool,
    },
    /// Nothing that another entry could undo, or something that is not understood.
    Other,
}

/// A definition from its first statement to its drop.
struct Life {
    short: String,
    entries: Vec<usize>,
    /// Entries between, its own apart.
    span: Range<usize>,
    stays: bool,
}

/// For each entry whether the next start needs it.
pub(super) fn live(events: &[CatalogEvent]) -> Vec<bool> {
    let effects: Vec<Effect> = events.iter().map(effect).collect();
    let jobs = Jobs::new(events);
    let mut live: Vec<bool> = (0..events.len()).map(|at| jobs.is_needed(events, at)).collect();
    if effects.iter().any(|effect| matches!(effect, Effect::Drop { cascade: true, .. })) {
        return live;
    }
    let mut lives = lives(events, &effects, &jobs);
    for &entry in lives.iter().flat_map(|life| &life.entries) {
        live[entry] = false;
    }
    let words = Words::new(events, &effects);
    // What comes to stay may name others.
    loop {
        let before = lives.iter().filter(|life| life.stays).count();
        for life in lives.iter_mut().filter(|life| !life.stays) {
            let mut between = life.span.clone().filter(|at| live[*at]);
            if between.any(|at| words.reach(at, &life.short)) {
                life.stays = true;
                life.entries.iter().for_each(|&at| live[at] = jobs.is_needed(events, at));
            }
        }
        if lives.iter().filter(|life| life.stays).count() == before {
            break;
        }
    }
    jobs.forget_ends(events, &mut live);
    live
}

/// All definitions that were dropped again and may be forgotten, if nobody needs them.
fn lives(events: &[CatalogEvent], effects: &[Effect], jobs: &Jobs) -> Vec<Life> {
    let mut open: BTreeMap<&Key, (String, Vec<usize>)> = BTreeMap::new();
    let mut fixed: BTreeSet<&Key> = BTreeSet::new();
    let mut lives: Vec<(&Key, Life)> = Vec::new();
    for (at, effect) in effects.iter().enumerate() {
        match effect {
            Effect::Create { key, short, temporary } => {
                // One that hides another of its name; a side table, which its job defines
                // again: these stay as they are.
                if *temporary || short.contains('$') {
                    fixed.insert(key);
                }
                open.entry(key).or_insert_with(|| (short.clone(), Vec::new())).1.push(at);
            }
            Effect::Drop { key, .. } => match open.remove(key) {
                Some((short, mut entries)) => {
                    // The state of a view's job may be still to be deleted.
                    let mut jobs_of = entries.iter().filter_map(|at| jobs.of_entry(events, *at));
                    if jobs_of.all(|job| jobs.is_gone(job)) {
                        let span = entries[0]..at;
                        entries.push(at);
                        lives.push((key, Life { short, entries, span, stays: false }));
                    }
                }
                None => {
                    fixed.insert(key);
                }
            },
            Effect::Other => {}
        }
    }
    lives.into_iter().filter(|(key, _)| !fixed.contains(key)).map(|(_, life)| life).collect()
}

/// The jobs of the log.
struct Jobs {
    ends: HashMap<u64, Option<EndReason>>,
    started: HashMap<u64, usize>,
    /// The last entry about each.
    last: HashMap<u64, usize>,
    /// Those that define a view.
    views: BTreeSet<u64>,
}

impl Jobs {
    fn new(events: &[CatalogEvent]) -> Self {
        let (mut ends, mut started, mut last) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut views = BTreeSet::new();
        for (at, event) in events.iter().enumerate() {
            let (job, end) = match event {
                CatalogEvent::Definition { .. } => continue,
                CatalogEvent::JobStarted { job, .. } => {
                    started.insert(*job, at);
                    if !matches!(effect(event), Effect::Other) {
                        views.insert(*job);
                    }
                    (*job, None)
                }
                CatalogEvent::JobRestarted { job } => (*job, None),
                CatalogEvent::JobEnded { job, reason } => (*job, Some(*reason)),
            };
            ends.insert(job, end);
            last.insert(job, at);
        }
        Self { ends, started, last, views }
    }

    fn of_entry(&self, events: &[CatalogEvent], at: usize) -> Option<u64> {
        match &events[at] {
            CatalogEvent::Definition { .. } => None,
            CatalogEvent::JobStarted { job, .. }
            | CatalogEvent::JobRestarted { job }
            | CatalogEvent::JobEnded { job, .. } => Some(*job),
        }
    }

    fn is_gone(&self, job: u64) -> bool {
        matches!(self.ends.get(&job), Some(Some(EndReason::Finished | EndReason::Dropped)))
    }

    /// Whether an entry counts as long as nothing else speaks against it: of a job its start
    /// and how it stands now.
    fn is_needed(&self, events: &[CatalogEvent], at: usize) -> bool {
        let Some(job) = self.of_entry(events, at) else { return true };
        if self.is_gone(job) && !self.views.contains(&job) {
            return false;
        }
        match &events[at] {
            CatalogEvent::JobEnded { .. } => self.last.get(&job) == Some(&at),
            CatalogEvent::JobRestarted { .. } => false,
            _ => true,
        }
    }

    /// Ends of jobs whose start is forgotten are forgotten.
    fn forget_ends(&self, events: &[CatalogEvent], live: &mut [bool]) {
        for at in 0..events.len() {
            if let CatalogEvent::JobEnded { job, .. } = &events[at]
                && !self.started.get(job).is_some_and(|started| live[*started])
            {
                live[at] = false;
            }
        }
    }
}

/// The words of entries, and those of the definitions that they name.
struct Words {
    of_entry: Vec<BTreeSet<String>>,
    /// By the short name of what is defined, in small letters.
    of_name: HashMap<String, BTreeSet<String>>,
}

impl Words {
    fn new(events: &[CatalogEvent], effects: &[Effect]) -> Self {
        let of_entry: Vec<BTreeSet<String>> = events.iter().map(words).collect();
        let mut of_name: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (words, effect) in of_entry.iter().zip(effects) {
            if let Effect::Create { short, .. } = effect {
                of_name.entry(short.to_lowercase()).or_default().extend(words.iter().cloned());
            }
        }
        Self { of_entry, of_name }
    }

    /// Whether an entry names something, itself or by way of definitions.
    fn reach(&self, at: usize, name: &str) -> bool {
        if !name.chars().all(is_word) {
            return true;
        }
        let name = name.to_lowercase();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = self.of_entry[at].iter().map(String::as_str).collect();
        while let Some(word) = next.pop() {
            if word == name {
                return true;
            }
            if seen.insert(word)
                && let Some(more) = self.of_name.get(word)
            {
                next.extend(more.iter().map(String::as_str));
            }
        }
        false
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn words(event: &CatalogEvent) -> BTreeSet<String> {
    let (CatalogEvent::Definition { sql, catalog, database }
    | CatalogEvent::JobStarted { sql, catalog, database, .. }) = event
    else {
        return BTreeSet::new();
    };
    let texts = [sql, catalog, database];
    let words = texts.into_iter().flat_map(|text| text.split(|c| !is_word(c)));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn effect(event: &CatalogEvent) -> Effect {
    let (CatalogEvent::Definition { sql, catalog, database }
    | CatalogEvent::JobStarted { sql, catalog, database, .. }) = event
    else {
        return Effect::Other;
    };
    let Ok(parsed) = thalweg_sql::parser::parse_one(sql) else { return Effect::Other };
    let state = SessionState {
        catalog: catalog.clone(),
        database: database.clone(),
        ..SessionState::default()
    };
    let key = |space: Space, name: &Name| -> Option<Key> {
        let full = match (space, name.parts.as_slice()) {
            (Space::Database, [name]) => format!("{catalog}.{name}"),
            (Space::Database, parts) => parts.join("."),
            _ => state.resolve(name).ok()?.to_string(),
        };
        Some((space, full))
    };
    let create = |space: Space, name: &Name, temporary: bool| {
        let short = name.parts.last().cloned().unwrap_or_default();
        key(space, name).map(|key| Effect::Create { key, short, temporary })
    };
    let effect = match &parsed.statement {
        Statement::CreateTable(it) => create(Space::Relation, &it.name, it.temporary),
        Statement::CreateView(it) => create(Space::Relation, &it.name, it.temporary),
        Statement::CreateMaterializedView(it) => create(Space::Relation, &it.name, false),
        Statement::CreateFunction(it) => create(Space::Function, &it.name, it.temporary),
        Statement::CreateDatabase { name, .. } => create(Space::Database, name, false),
        Statement::Drop(drop) => {
            let space = match drop.kind {
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => {
                    Space::Relation
                }
                ObjectKind::Function => Space::Function,
                ObjectKind::Database => Space::Database,
            };
            key(space, &drop.name).map(|key| Effect::Drop { key, cascade: drop.cascade })
        }
        _ => None,
    };
    effect.unwrap_or(Effect::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(sql: &str) -> CatalogEvent {
        CatalogEvent::Definition {
            sql: sql.to_owned(),
            catalog: "default_catalog".to_owned(),
            database: "default_database".to_owned(),
        }
    }

    fn table(name: &str) -> CatalogEvent {
        definition(&format!("CREATE TABLE {name} (n INT) WITH ('connector' = 'blackhole')"))
    }

    fn started(job: u64, sql: &str) -> CatalogEvent {
        CatalogEvent::JobStarted {
            job,
            name: format!("job-{job}"),
            sql: sql.to_owned(),
            catalog: "default_catalog".to_owned(),
            database: "default_database".to_owned(),
            settings: Default::default(),
            parallelism: 1,
        }
    }

    fn ended(job: u64, reason: EndReason) -> CatalogEvent {
        CatalogEvent::JobEnded { job, reason }
    }

    fn kept(events: &[CatalogEvent]) -> Vec<usize> {
        let live = live(events);
        assert_eq!(live.len(), events.len());
        live.iter().enumerate().filter(|(_, live)| **live).map(|(at, _)| at).collect()
    }

    #[test]
    fn what_was_dropped_is_forgotten() {
        let events = [
            table("a"),
            table("b"),
            definition("DROP TABLE a"),
            table("a"),
            definition("CREATE DATABASE d"),
            definition("CREATE VIEW d.v AS SELECT * FROM b"),
            definition("DROP VIEW d.v"),
            definition("DROP DATABASE d"),
        ];
        assert_eq!(kept(&events), [1, 3]);
    }

    #[test]
    fn what_a_job_was_planned_with_stays_as_long_as_the_job() {
        let mut events = vec![
            table("a"),
            definition("CREATE VIEW v AS SELECT * FROM a"),
            table("out"),
            started(1, "INSERT INTO out SELECT * FROM v"),
            definition("DROP VIEW v"),
            definition("DROP TABLE a"),
            table("other"),
            definition("DROP TABLE other"),
        ];
        assert_eq!(kept(&events), [0, 1, 2, 3, 4, 5]);
        events.push(ended(1, EndReason::Stopped));
        assert_eq!(kept(&events), [0, 1, 2, 3, 4, 5, 8]);
        events.push(CatalogEvent::JobRestarted { job: 1 });
        assert_eq!(kept(&events), [0, 1, 2, 3, 4, 5]);
        events.push(ended(1, EndReason::Finished));
        assert_eq!(kept(&events), [2]);
    }

    #[test]
    fn a_view_goes_with_its_job() {
        let view = "CREATE MATERIALIZED VIEW m AS SELECT * FROM a";
        let mut events = vec![table("a"), started(1, view), definition("DROP MATERIALIZED VIEW m")];
        // Its state is still to be deleted.
        assert_eq!(kept(&events), [0, 1, 2]);
        events.push(ended(1, EndReason::Dropped));
        assert_eq!(kept(&events), [0]);
        events.push(started(2, view));
        assert_eq!(kept(&events), [0, 4]);
        // A job over the first one would still need it.
        events.insert(2, started(3, "INSERT INTO a SELECT * FROM m"));
        assert_eq!(kept(&events), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_later_table_of_the_name_may_be_what_an_earlier_view_means() {
        let events = [
            table("a"),
            definition("CREATE VIEW v AS SELECT * FROM a"),
            definition("DROP TABLE a"),
            table("a"),
            table("out"),
            started(1, "INSERT INTO out SELECT * FROM v"),
            definition("DROP TABLE a"),
        ];
        assert_eq!(kept(&events), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_not_understood_stays() {
        let events = [
            definition("no SQL at all"),
            definition("CREATE TEMPORARY VIEW a AS SELECT 1"),
            table("a"),
            definition("DROP TABLE a"),
            definition("DROP TABLE readings$bad"),
        ];
        assert_eq!(kept(&events), [0, 1, 2, 3, 4]);
    }
}
