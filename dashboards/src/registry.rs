//! The registry as the control room reads it.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use portgate_core::registry::{Kind, Record};
use portgate_core::time::Instant;
use portgate_core::timeline::{scope_of, Timeline};
use serde::Serialize;
use serde_json::Value;

/// Policy records listed.
const POLICIES_MAX: usize = 1000;

/// A record as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegistryItem {
    /// Id.
    pub id: String,
    /// The record.
    pub value: Value,
}

/// Where records are read from: the store of a deciding node, or [`TopicRegistry`].
/// May read a disk: not called from async code.
pub trait RegistryReader: Send + Sync + 'static {
    /// One record.
    ///
    /// # Errors
    /// In words, when the registry can't be read.
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Value>, String>;

    /// Records of a kind whose ids begin with `prefix`, in the order of their ids, after the id
    /// `after` (if given), at most `limit`.
    ///
    /// # Errors
    /// In words, when the registry can't be read.
    fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<RegistryItem>, String>;

    /// Every policy scope with its revisions. Without a store only the latest record of each id is
    /// known, as if it had always counted from its instant.
    ///
    /// # Errors
    /// In words, when the registry can't be read.
    fn policies(&self) -> Result<Vec<(String, Timeline)>, String> {
        let mut scopes: BTreeMap<String, Timeline> = BTreeMap::new();
        for item in self.list(Kind::Policy, "", None, POLICIES_MAX)? {
            if let Ok(Record::Policy(record)) = Record::parse(Kind::Policy, &item.id, &item.value) {
                let timeline = scopes.entry(scope_of(&record).to_owned()).or_default();
                timeline.enter(&record, Instant::from_micros(0), None).map_err(|e| e.to_string())?;
            }
        }
        Ok(scopes.into_iter().collect())
    }
}

/// The compacted topic materialised in memory: for a `serve` node without a store.
#[derive(Default)]
pub struct TopicRegistry {
    records: RwLock<BTreeMap<(Kind, String), Value>>,
}

impl TopicRegistry {
    /// A change as it stands on the topic; a missing value deletes.
    pub fn apply(&self, kind: Kind, id: &str, value: Option<Value>) {
        let mut records = self.records.write();
        match value {
            Some(value) => records.insert((kind, id.to_owned()), value),
            None => records.remove(&(kind, id.to_owned())),
        };
    }
}

impl RegistryReader for TopicRegistry {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Value>, String> {
        Ok(self.records.read().get(&(kind, id.to_owned())).cloned())
    }

    fn list(&self, kind: Kind, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<RegistryItem>, String> {
        let from = after.filter(|a| *a >= prefix).unwrap_or(prefix);
        let records = self.records.read();
        let items = records
            .range((kind, from.to_owned())..)
            .take_while(|((k, id), _)| *k == kind && id.starts_with(prefix))
            .filter(|((_, id), _)| after.is_none_or(|a| id.as_str() > a))
            .take(limit)
            .map(|((_, id), value)| RegistryItem { id: id.clone(), value: value.clone() });
        Ok(items.collect())
    }
}

/// Splits a key `kind/id` of the registry topic.
pub fn split_key(key: &str) -> Option<(Kind, &str)> {
    let (kind, id) = key.split_once('/')?;
    Some((kind.parse().ok()?, id)).filter(|_| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_by_prefix_in_pages() {
        let registry = TopicRegistry::default();
        for id in ["A1", "A2", "A3", "B1"] {
            registry.apply(Kind::Card, id, Some(json!({"id": id})));
        }
        registry.apply(Kind::Vehicle, "A9", Some(json!({})));
        registry.apply(Kind::Card, "A2", None);
        let ids =
            |prefix, after, limit| registry.list(Kind::Card, prefix, after, limit).unwrap().into_iter().map(|i| i.id).collect::<Vec<_>>();
        assert_eq!(ids("", None, 10), ["A1", "A3", "B1"]);
        assert_eq!(ids("A", None, 10), ["A1", "A3"]);
        assert_eq!(ids("A", Some("A1"), 10), ["A3"]);
        assert_eq!(ids("", None, 1), ["A1"]);
        assert_eq!(registry.get(Kind::Card, "A2").unwrap(), None);
        assert_eq!(split_key("card/C/1"), Some((Kind::Card, "C/1")));
        assert_eq!(split_key("nothing/1"), None);
    }
}
