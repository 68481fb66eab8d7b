//! A storage in memory, for tests of everything above it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Area, Error, Key, Listed, PutMode, Storage, Upload};

type Objects = BTreeMap<Key, Arc<Vec<u8>>>;

/// Objects in memory, gone with the last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<Objects>>,
}

impl MemoryStorage {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &Key) -> Result<Arc<Vec<u8>>, Error> {
        self.objects().get(key).cloned().ok_or_else(|| Error::Missing { object: key.path() })
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
        let object = self.object(key)?;
        let range = usize::try_from(offset).ok().and_then(|start| object.get(start..start.checked_add(target.len())?));
        let Some(range) = range else {
            let expected = offset.saturating_add(target.len() as u64);
            return Err(Error::Length { object: key.path(), expected, found: object.len() as u64 });
        };
        target.copy_from_slice(range);
        Ok(())
    }

    fn foreign(&self) -> Result<Option<String>, Error> {
        Ok(self.objects().keys().find(|key| key.area() != Area::Config).map(Key::path))
    }

    fn stat(&self, key: &Key) -> Result<u64, Error> {
        self.object(key).map(|object| object.len() as u64)
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, Error> {
        let objects = self.objects();
        let in_area = objects.iter().filter(|(key, _)| key.area() == area);
        Ok(in_area.map(|(key, bytes)| Listed { name: key.name().to_owned(), len_bytes: bytes.len() as u64 }).collect())
    }

    fn delete(&self, key: &Key) -> Result<(), Error> {
        self.objects().remove(key);
        Ok(())
    }
}
