//! Transactions of the embedded log: kept in memory until the commit, then one synced write.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::consumer::offsets;
use super::prepare;
use super::store::Shared;
use super::writer::{Append, OffsetCommit, Prepared};
use crate::api::{GroupHandle, GroupHandleInner, LogTransaction};
use crate::error::{LogError, Result};
use crate::record::{NewRecord, Position};

pub(super) struct EmbeddedTransaction {
    shared: Arc<Shared>,
    id: String,
    epoch: u64,
    open: Option<Draft>,
}

#[derive(Default)]
struct Draft {
    records: Vec<Prepared>,
    offsets: Vec<OffsetCommit>,
    bytes: usize,
}

impl EmbeddedTransaction {
    pub fn new(shared: Arc<Shared>, id: String, epoch: u64) -> Self {
        Self { shared, id, epoch, open: None }
    }

    fn check_holder(&self) -> Result<()> {
        if self.shared.epochs.lock().get(&self.id) == Some(&self.epoch) {
            Ok(())
        } else {
            Err(LogError::Fenced(self.id.clone()))
        }
    }

    fn draft(&mut self) -> Result<&mut Draft> {
        self.check_holder()?;
        self.open.as_mut().ok_or_else(|| LogError::Invalid("no transaction has begun".into()))
    }
}

#[async_trait]
impl LogTransaction for EmbeddedTransaction {
    async fn begin(&mut self) -> Result<()> {
        self.check_holder()?;
        if self.open.is_some() {
            return Err(LogError::Invalid("a transaction has begun already".into()));
        }
        self.open = Some(Draft::default());
        Ok(())
    }

    async fn append(&mut self, record: NewRecord) -> Result<()> {
        let bytes = record.size_bytes();
        let bytes_max = self.shared.config.queue_bytes_max;
        let prepared = prepare(&self.shared, &record)?;
        let draft = self.draft()?;
        if draft.bytes > 0 && draft.bytes.saturating_add(bytes) > bytes_max {
            return Err(LogError::Invalid(format!("a transaction of more than {bytes_max} bytes")));
        }
        draft.bytes += bytes;
        draft.records.push(prepared);
        Ok(())
    }

    async fn send_offsets(&mut self, group: &GroupHandle, processed: &[Position]) -> Result<()> {
        let GroupHandleInner::Embedded(group) = &group.0 else {
            return Err(LogError::Invalid("the group is of another log".into()));
        };
        let offsets = offsets(&self.shared, group, processed)?;
        self.draft()?.offsets.extend(offsets);
        Ok(())
    }

    async fn commit(&mut self) -> Result<Vec<Position>> {
        self.draft()?;
        let draft = self.open.take().unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        self.shared
            .append_in_turn(Append {
                records: draft.records,
                offsets: draft.offsets,
                holder: Some((self.id.clone(), self.epoch)),
                bytes: draft.bytes,
                reply,
            })
            .await?;
        answer.await.map_err(|_| LogError::Closed)?
    }

    async fn abort(&mut self) -> Result<()> {
        self.open = None;
        self.check_holder()
    }
}
