//! Consumer groups within the process: who holds which partition.
//!
//! Every change of membership gives each member a *target*; a member takes what its target names only
//! after the former holder has given it up inside its own poll, so no partition ever has two holders.
//! The assignment is sticky: it moves only what balance needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::record::TopicPartition;

/// All groups of the log.
#[derive(Clone, Default)]
pub(super) struct Groups(Arc<Mutex<BTreeMap<String, Group>>>);

#[derive(Default)]
struct Group {
    next_member: u64,
    members: BTreeMap<u64, Member>,
    owners: BTreeMap<TopicPartition, u64>,
}

struct Member {
    subscribed: BTreeSet<TopicPartition>,
    target: BTreeSet<TopicPartition>,
    wake: Arc<Notify>,
}

/// A membership of an embedded consumer group.
pub struct EmbeddedGroup {
    groups: Groups,
    name: String,
    member: u64,
    wake: Arc<Notify>,
}

impl Groups {
    /// Joins a group, subscribed to these partitions.
    pub fn join(&self, name: &str, subscribed: BTreeSet<TopicPartition>) -> EmbeddedGroup {
        let wake = Arc::new(Notify::new());
        let mut groups = self.0.lock();
        let group = groups.entry(name.to_owned()).or_default();
        let member = group.next_member;
        group.next_member += 1;
        group.members.insert(member, Member { subscribed, target: BTreeSet::new(), wake: wake.clone() });
        group.rebalance();
        EmbeddedGroup { groups: self.clone(), name: name.to_owned(), member, wake }
    }
}

impl EmbeddedGroup {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Is notified when the target changes or a partition becomes free.
    pub(super) fn wake(&self) -> &Notify {
        &self.wake
    }

    pub(super) fn is_member(&self) -> bool {
        self.with(|g| g.members.contains_key(&self.member), false)
    }

    pub(super) fn owns(&self, topic: &str, partition: u32) -> bool {
        let partition = TopicPartition::new(topic, partition);
        self.with(|g| g.owners.get(&partition) == Some(&self.member), false)
    }

    pub(super) fn owned(&self) -> Vec<TopicPartition> {
        self.with(|g| g.owned(self.member).cloned().collect(), Vec::new())
    }

    /// What this member holds but should give up.
    pub(super) fn to_revoke(&self) -> Vec<TopicPartition> {
        self.with(
            |g| {
                let Some(me) = g.members.get(&self.member) else {
                    return Vec::new();
                };
                g.owned(self.member).filter(|p| !me.target.contains(*p)).cloned().collect()
            },
            Vec::new(),
        )
    }

    /// Gives partitions up.
    pub(super) fn release(&self, partitions: &[TopicPartition]) {
        self.with(
            |g| {
                for partition in partitions {
                    if g.owners.get(partition) == Some(&self.member) {
                        g.owners.remove(partition);
                    }
                }
                g.wake_all();
            },
            (),
        );
    }

    /// Takes what the target names and nobody holds any more; answers what is new.
    pub(super) fn claim(&self) -> Vec<TopicPartition> {
        self.with(
            |g| {
                let Some(me) = g.members.get(&self.member) else {
                    return Vec::new();
                };
                let free: Vec<_> = me.target.iter().filter(|p| !g.owners.contains_key(*p)).cloned().collect();
                for partition in &free {
                    g.owners.insert(partition.clone(), self.member);
                }
                free
            },
            Vec::new(),
        )
    }

    /// Leaves the group; the others share out what it held.
    pub(super) fn leave(&self) {
        let mut groups = self.groups.0.lock();
        if let Some(group) = groups.get_mut(&self.name) {
            group.members.remove(&self.member);
            group.owners.retain(|_, owner| *owner != self.member);
            group.rebalance();
            if group.members.is_empty() {
                groups.remove(&self.name);
            }
        }
        drop(groups);
        self.wake.notify_waiters();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Group) -> T, otherwise: T) -> T {
        let mut groups = self.groups.0.lock();
        groups.get_mut(&self.name).map_or(otherwise, act)
    }
}

impl Group {
    fn owned(&self, member: u64) -> impl Iterator<Item = &TopicPartition> {
        self.owners.iter().filter(move |(_, owner)| **owner == member).map(|(partition, _)| partition)
    }

    fn wake_all(&self) {
        for member in self.members.values() {
            member.wake.notify_waiters();
        }
    }

    /// Gives every member its target: what it has stays while that is fair.
    fn rebalance(&mut self) {
        let all: BTreeSet<_> = self.members.values().flat_map(|m| m.subscribed.iter().cloned()).collect();
        let mut target: BTreeMap<TopicPartition, u64> = BTreeMap::new();
        let mut load: BTreeMap<u64, usize> = self.members.keys().map(|m| (*m, 0)).collect();
        for (id, member) in &mut self.members {
            for partition in std::mem::take(&mut member.target) {
                *load.entry(*id).or_default() += 1;
                target.insert(partition, *id);
            }
        }
        let least = |load: &BTreeMap<u64, usize>, members: &BTreeMap<u64, Member>, p: &_| {
            load.iter()
                .filter(|(id, _)| members.get(id).is_some_and(|m| m.subscribed.contains(p)))
                .min_by_key(|(id, n)| (**n, **id))
                .map(|(id, n)| (*id, *n))
        };
        for partition in &all {
            if !target.contains_key(partition) {
                if let Some((id, _)) = least(&load, &self.members, partition) {
                    *load.entry(id).or_default() += 1;
                    target.insert(partition.clone(), id);
                }
            }
        }
        // Each move narrows a difference of at least two, so this ends.
        let mut moved = true;
        while moved {
            moved = false;
            for (partition, owner) in &mut target {
                let have = load.get(owner).copied().unwrap_or(0);
                if let Some((id, n)) = least(&load, &self.members, partition) {
                    if n + 1 < have {
                        load.insert(*owner, have - 1);
                        load.insert(id, n + 1);
                        *owner = id;
                        moved = true;
                    }
                }
            }
        }
        for (partition, owner) in target {
            if let Some(member) = self.members.get_mut(&owner) {
                member.target.insert(partition);
            }
        }
        self.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(n: u32) -> BTreeSet<TopicPartition> {
        (0..n).map(|p| TopicPartition::new("t", p)).collect()
    }

    #[test]
    fn a_partition_moves_only_after_it_is_given_up() {
        let groups = Groups::default();
        let a = groups.join("g", parts(4));
        assert_eq!(a.claim().len(), 4);
        let b = groups.join("g", parts(4));
        assert_eq!(b.claim(), vec![], "a still holds them");
        let revoked = a.to_revoke();
        assert_eq!(revoked.len(), 2);
        assert!(a.owns("t", revoked[0].partition));
        a.release(&revoked);
        assert_eq!(b.claim(), revoked);
        assert_eq!(a.owned().len(), 2);
        assert_eq!(a.claim(), vec![]);
    }

    #[test]
    fn leaving_hands_over_and_the_rest_stays() {
        let groups = Groups::default();
        let a = groups.join("g", parts(6));
        let b = groups.join("g", parts(6));
        let c = groups.join("g", parts(6));
        let (first_a, first_b, first_c) = (a.claim(), b.claim(), c.claim());
        for m in [&first_a, &first_b, &first_c] {
            assert_eq!(m.len(), 2);
        }
        c.leave();
        assert!(a.to_revoke().is_empty() && b.to_revoke().is_empty());
        let gained: BTreeSet<_> = a.claim().into_iter().chain(b.claim()).collect();
        assert_eq!(gained, first_c.into_iter().collect());
        assert!(!c.is_member() && a.is_member());
        a.leave();
        b.leave();
        assert!(groups.0.lock().is_empty());
    }

    #[test]
    fn members_get_only_what_they_subscribed_to() {
        let groups = Groups::default();
        let other: BTreeSet<_> = [TopicPartition::new("u", 0)].into();
        let a = groups.join("g", parts(3));
        let b = groups.join("g", other.clone());
        assert_eq!(a.claim().len(), 3);
        assert_eq!(b.claim(), other.into_iter().collect::<Vec<_>>());
    }
}
