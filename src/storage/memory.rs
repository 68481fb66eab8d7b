//! A storage in memory, for tests of everything above it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Area, Error, Exclusion, ExclusiveLease, Fetched, Key, Lease, Listed, PutMode, Reservation, Retractable, Storage,
    Upload,
};
use crate::rooted::Guarded;

type Objects = BTreeMap<Key, Arc<Vec<u8>>>;

/// Objects in memory, gone with the last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<Objects>>,
    users: Arc<Mutex<Users>>,
    reserved: Arc<Mutex<BTreeSet<String>>>,
}

/// How many share it, and whether somebody has it alone.
#[derive(Debug, Default)]
struct Users {
    sharing: usize,
    is_alone: bool,
}

/// What one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    Shared,
    Alone,
}

#[derive(Debug)]
struct MemoryExclusion {
    users: Arc<Mutex<Users>>,
    hold: Mutex<Hold>,
}

impl MemoryExclusion {
    fn take(&self, wanted: Hold) -> bool {
        let (mut users, mut hold) = (lock(&self.users), lock(&self.hold));
        match *hold {
            Hold::Nothing => {}
            Hold::Shared => users.sharing -= 1,
            Hold::Alone => users.is_alone = false,
        }
        let is_free = !users.is_alone && (wanted != Hold::Alone || users.sharing == 0);
        *hold = if is_free { wanted } else { Hold::Nothing };
        match *hold {
            Hold::Nothing => {}
            Hold::Shared => users.sharing += 1,
            Hold::Alone => users.is_alone = true,
        }
        is_free
    }
}

impl Exclusion for MemoryExclusion {
    fn try_alone(&self) -> Result<bool, Error> {
        Ok(self.take(Hold::Alone))
    }

    fn try_shared(&self) -> Result<bool, Error> {
        Ok(self.take(Hold::Shared))
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Drop for MemoryExclusion {
    fn drop(&mut self) {
        self.take(Hold::Nothing);
    }
}

/// A name that is reserved until this is dropped.
#[derive(Debug)]
struct MemoryReservation {
    reserved: Arc<Mutex<BTreeSet<String>>>,
    name: String,
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        lock(&self.reserved).remove(&self.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStorage {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        lock(&self.objects)
    }

    fn object(&self, key: &Key) -> Result<Arc<Vec<u8>>, Error> {
        self.objects().get(key).cloned().ok_or_else(|| Error::Missing { object: key.path() })
    }

    /// Removes an object, as damage would.
    pub fn lose(&self, key: &Key) {
        self.objects().remove(key);
    }

    /// Replaces the bytes of an object, as damage would.
    pub fn overwrite(&self, key: &Key, bytes: Vec<u8>) {
        self.objects().insert(key.clone(), Arc::new(bytes));
    }
}

struct MemoryUpload {
    storage: MemoryStorage,
    bytes: Vec<u8>,
}

impl Upload for MemoryUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), Error> {
        let mut objects = self.storage.objects();
        if mode == PutMode::Exclusive && objects.contains_key(key) {
            return Err(Error::Exists { object: key.path() });
        }
        objects.insert(key.clone(), Arc::new(self.bytes));
        Ok(())
    }
}

impl Storage for MemoryStorage {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn describe_object(&self, key: &Key) -> String {
        key.path()
    }

    fn guarded(&self) -> Result<Guarded, Error> {
        Ok(Guarded::default())
    }

    fn lease(&self, waits: &dyn Fn()) -> Result<Lease, Error> {
        let exclusion = MemoryExclusion { users: Arc::clone(&self.users), hold: Mutex::new(Hold::Nothing) };
        Lease::shared(Box::new(exclusion), "memory", waits)
    }

    fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error> {
        let is_free = lock(&self.reserved).insert(name.to_owned());
        let held = || MemoryReservation { reserved: Arc::clone(&self.reserved), name: name.to_owned() };
        Ok(is_free.then(|| Reservation::new(held())))
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), Error> {
        let mut upload = self.upload(key.area())?;
        upload.write(bytes)?;
        upload.finish(key, mode)
    }

    fn upload(&self, _area: Area) -> Result<Box<dyn Upload>, Error> {
        Ok(Box::new(MemoryUpload { storage: self.clone(), bytes: Vec::new() }))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, Error> {
        let object = self.object(key)?;
        let found = object.len() as u64;
        if found > len_bytes_max {
            return Err(Error::Length { object: key.path(), expected: len_bytes_max, found });
        }
        Ok(object.to_vec())
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        self.get_ranges(key, &mut [(offset, target)])
    }

    fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), Error> {
        let object = self.object(key)?;
        for (offset, target) in ranges {
            let range =
                usize::try_from(*offset).ok().and_then(|start| object.get(start..start.checked_add(target.len())?));
            let Some(range) = range else {
                let expected = offset.saturating_add(target.len() as u64);
                return Err(Error::Length { object: key.path(), expected, found: object.len() as u64 });
            };
            target.copy_from_slice(range);
        }
        Ok(())
    }

    fn fetch(&self, key: &Key) -> Result<Fetched, Error> {
        self.object(key).map(|object| Fetched::Bytes(object.to_vec()))
    }

    fn stat(&self, key: &Key) -> Result<u64, Error> {
        self.object(key).map(|object| object.len() as u64)
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, Error> {
        let objects = self.objects();
        let in_area = objects.iter().filter(|(key, _)| key.area() == area);
        Ok(in_area.map(|(key, bytes)| Listed { name: key.name().to_owned(), len_bytes: bytes.len() as u64 }).collect())
    }

    fn occupied_by(&self) -> Result<Option<String>, Error> {
        Ok(self.objects().keys().find(|key| key.area() != Area::Config).map(Key::path))
    }

    fn delete(&self, key: &Key, _alone: &ExclusiveLease) -> Result<(), Error> {
        self.objects().remove(key);
        Ok(())
    }

    fn retract(&self, area: Retractable, name: &str) -> Result<(), Error> {
        self.objects().remove(&Key::new(area.into(), name));
        Ok(())
    }

    fn sweep(&self, _alone: &ExclusiveLease) -> Result<(), Error> {
        Ok(())
    }
}
