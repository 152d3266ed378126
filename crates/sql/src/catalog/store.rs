//! The objects themselves, shared by all sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::object::{CatalogObject, FullName, JobObject, ObjectId};
use crate::error::{ErrorCode, Result, SqlError};
use crate::parser::{Name, ObjectKind};
use crate::suggest;

/// Flink's name of the built-in catalog.
pub const DEFAULT_CATALOG: &str = "default_catalog";
/// Flink's name of the built-in database.
pub const DEFAULT_DATABASE: &str = "default_database";

/// All objects. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct Catalog {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Clone, Debug)]
struct Inner {
    next_id: u64,
    databases: BTreeMap<(String, String), ObjectId>,
    objects: BTreeMap<FullName, CatalogObject>,
    jobs: BTreeMap<u64, JobObject>,
}

/// A catalog as it was, to go back to.
#[derive(Debug)]
pub struct CatalogSnapshot(Inner);

impl Default for Catalog {
    fn default() -> Self {
        let database = (DEFAULT_CATALOG.to_owned(), DEFAULT_DATABASE.to_owned());
        let inner = Inner {
            next_id: 1,
            databases: [(database, ObjectId(0))].into(),
            objects: BTreeMap::new(),
            jobs: BTreeMap::new(),
        };
        Self { inner: Arc::new(RwLock::new(inner)) }
    }
}

impl Catalog {
    /// Everything as it is now.
    pub fn snapshot(&self) -> CatalogSnapshot {
        CatalogSnapshot(self.inner.read().clone())
    }

    /// Undoes whatever happened since the snapshot was taken. Ids are not given again.
    pub fn restore(&self, snapshot: CatalogSnapshot) {
        let mut inner = self.inner.write();
        let next_id = inner.next_id;
        *inner = snapshot.0;
        inner.next_id = next_id;
    }

    /// An object by its full name.
    pub fn get(&self, name: &FullName) -> Option<CatalogObject> {
        self.inner.read().objects.get(name).cloned()
    }

    /// All objects, by name.
    pub fn objects(&self) -> Vec<CatalogObject> {
        self.inner.read().objects.values().cloned().collect()
    }

    /// Objects of a database, by name.
    pub fn objects_in(&self, catalog: &str, database: &str) -> Vec<CatalogObject> {
        let inner = self.inner.read();
        let objects = inner.objects.iter();
        objects
            .filter(|(name, _)| name.catalog == catalog && name.database == database)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Names of the catalogs.
    pub fn catalogs(&self) -> Vec<String> {
        let inner = self.inner.read();
        let mut names: Vec<_> = inner.databases.keys().map(|(name, _)| name.clone()).collect();
        names.dedup();
        names
    }

    /// Names of the databases of a catalog.
    pub fn databases(&self, catalog: &str) -> Vec<String> {
        let inner = self.inner.read();
        let names = inner.databases.keys();
        names.filter(|(name, _)| name == catalog).map(|(_, name)| name.clone()).collect()
    }

    /// Whether there is such a database.
    pub fn has_database(&self, catalog: &str, database: &str) -> bool {
        let key = (catalog.to_owned(), database.to_owned());
        self.inner.read().databases.contains_key(&key)
    }

    /// Adds a database.
    ///
    /// # Errors
    /// It is there already.
    pub fn create_database(&self, catalog: &str, database: &str) -> Result<ObjectId> {
        let mut inner = self.inner.write();
        let key = (catalog.to_owned(), database.to_owned());
        if inner.databases.contains_key(&key) {
            let message = format!("database `{catalog}.{database}` already exists");
            return Err(SqlError::new(ErrorCode::AlreadyExists, message));
        }
        let id = inner.take_id();
        inner.databases.insert(key, id);
        Ok(id)
    }

    /// Removes an empty database.
    ///
    /// # Errors
    /// It is not there, it is not empty, or it is the default one.
    pub fn drop_database(&self, catalog: &str, database: &str) -> Result<()> {
        let mut inner = self.inner.write();
        let holds = |name: &FullName| name.catalog == catalog && name.database == database;
        if inner.objects.keys().any(holds) {
            let message = format!("database `{catalog}.{database}` is not empty");
            return Err(SqlError::new(ErrorCode::DependentObjects, message));
        }
        if (catalog, database) == (DEFAULT_CATALOG, DEFAULT_DATABASE) {
            let message = "the default database cannot be dropped";
            return Err(SqlError::new(ErrorCode::InvalidArgument, message));
        }
        match inner.databases.remove(&(catalog.to_owned(), database.to_owned())) {
            Some(_) => Ok(()),
            None => Err(unknown_database(catalog, database)),
        }
    }

    /// Adds an object that `make` makes with its new id.
    ///
    /// # Errors
    /// There is one of that name already, or the database is unknown.
    pub fn create(
        &self,
        name: &FullName,
        make: impl FnOnce(ObjectId) -> CatalogObject,
    ) -> Result<CatalogObject> {
        let mut inner = self.inner.write();
        if !inner.databases.contains_key(&(name.catalog.clone(), name.database.clone())) {
            return Err(unknown_database(&name.catalog, &name.database));
        }
        if let Some(there) = inner.objects.get(name) {
            let message = format!("{} `{name}` already exists", there.kind().name());
            return Err(SqlError::new(ErrorCode::AlreadyExists, message));
        }
        let object = make(inner.take_id());
        inner.objects.insert(name.clone(), object.clone());
        Ok(object)
    }

    /// Makes sure that ids given from now on are above `id`: for objects that come back
    /// from a record.
    pub(crate) fn reserve_id(&self, id: ObjectId) {
        let mut inner = self.inner.write();
        inner.next_id = inner.next_id.max(id.0 + 1);
    }

    /// Puts an object back under the id of its record.
    pub(crate) fn put(&self, object: CatalogObject) {
        self.inner.write().objects.insert(object.name().clone(), object);
    }

    /// Removes an object that no job uses.
    ///
    /// # Errors
    /// It is not there, it is of another kind, or a job uses it.
    pub fn drop(&self, name: &FullName, kind: ObjectKind) -> Result<CatalogObject> {
        let mut inner = self.inner.write();
        let Some(object) = inner.objects.get(name) else {
            let message = format!("there is no {} `{name}`", kind.name());
            return Err(SqlError::new(ErrorCode::UnknownTable, message));
        };
        if object.kind() != kind {
            let is = object.kind().name();
            let message = format!("`{name}` is a {is}, not a {}", kind.name());
            return Err(SqlError::new(ErrorCode::WrongObjectType, message)
                .with_hint(format!("DROP {} {name}", is.to_uppercase())));
        }
        let uses = |job: &&JobObject| job.view.as_ref() != Some(name) && job.uses.contains(name);
        let users: Vec<&JobObject> = inner.jobs.values().filter(uses).collect();
        if !users.is_empty() {
            return Err(still_used(name, kind, &users));
        }
        inner.objects.remove(name).ok_or_else(|| SqlError::internal("object vanished"))
    }

    /// Notes a job before it starts, so that what it uses cannot be dropped from now on.
    ///
    /// # Errors
    /// Something that it uses was dropped since it was planned.
    pub fn add_job(&self, job: JobObject) -> Result<()> {
        let mut inner = self.inner.write();
        if let Some(gone) = job.uses.iter().find(|name| !inner.objects.contains_key(name)) {
            let message = format!("`{gone}`, which job `{}` uses, was dropped meanwhile", job.name);
            return Err(SqlError::new(ErrorCode::UnknownTable, message));
        }
        inner.jobs.insert(job.id, job);
        Ok(())
    }

    /// Notes a job that comes back from a record, whatever was dropped under it.
    pub fn put_job(&self, job: JobObject) {
        self.inner.write().jobs.insert(job.id, job);
    }

    /// Forgets a job that has ended, or did not start.
    pub fn remove_job(&self, id: u64) {
        self.inner.write().jobs.remove(&id);
    }

    /// All jobs, by id.
    pub fn jobs(&self) -> Vec<JobObject> {
        self.inner.read().jobs.values().cloned().collect()
    }

    /// The error for a table or view that is not there, with the nearest name.
    pub(crate) fn unknown_table(&self, name: &Name, catalog: &str, database: &str) -> SqlError {
        let objects = self.objects_in(catalog, database);
        let names: Vec<&str> = objects
            .iter()
            .filter(|object| object.kind() != ObjectKind::Function)
            .map(|object| object.name().name.as_str())
            .collect();
        let message = format!("there is no table or view `{name}`");
        let hint = suggest::did_you_mean(name.last(), names.iter().copied()).or_else(|| {
            names.is_empty().then(|| "there are no tables yet: CREATE TABLE makes one".to_owned())
        });
        SqlError::new(ErrorCode::UnknownTable, message).at(name.span).with_hint(hint)
    }
}

impl Inner {
    fn take_id(&mut self) -> ObjectId {
        let id = ObjectId(self.next_id);
        self.next_id += 1;
        id
    }
}

/// So many jobs are named in a message.
const JOBS_NAMED: usize = 5;

fn still_used(name: &FullName, kind: ObjectKind, users: &[&JobObject]) -> SqlError {
    let named = &users[..users.len().min(JOBS_NAMED)];
    let mut jobs = named.iter().map(|job| format!("'{}'", job.name)).collect::<Vec<_>>().join(", ");
    if users.len() > named.len() {
        jobs.push_str(&format!(" and {} more", users.len() - named.len()));
    }
    let (noun, verb) = if users.len() == 1 { ("job", "uses") } else { ("jobs", "use") };
    let message = format!("cannot drop {} `{name}`: {noun} {jobs} {verb} it", kind.name());
    let stops: Vec<String> = named.iter().map(|job| format!("STOP JOB '{}'", job.name)).collect();
    let mut hint = format!("stop what uses it first: {}", stops.join("; "));
    let mut views = named.iter().filter_map(|job| job.view.as_ref());
    if let Some(view) = views.next() {
        hint.push_str(&format!("; or, for good, DROP MATERIALIZED VIEW {view}"));
    }
    SqlError::new(ErrorCode::DependentObjects, message).with_hint(hint)
}

fn unknown_database(catalog: &str, database: &str) -> SqlError {
    let message = format!("there is no database `{catalog}.{database}`");
    SqlError::new(ErrorCode::UnknownObject, message)
}
