//! A table to DataFusion: the files of one instant and the rows that are in none yet.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::object_store::ObjectMeta;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::ExecutionPlan;

use crate::files::DataFile;
use crate::store::{Snapshot, Store};
use crate::tables::Table;

/// One of the [`crate::tables::ALL`].
pub struct LiveTable {
    store: Arc<Store>,
    index: usize,
    schema: SchemaRef,
}

impl LiveTable {
    /// The table at this index of [`crate::tables::ALL`].
    pub fn new(store: Arc<Store>, index: usize, table: &Table) -> Self {
        Self { store, index, schema: table.schema() }
    }
}

impl std::fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveTable").field("index", &self.index).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Statistics and bloom filters skip files and row groups; what is left is filtered above.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // One snapshot for all tables of a query, where the query brought one.
        let snapshot = state.config().get_extension::<Snapshot>();
        let table = match &snapshot {
            Some(snapshot) => snapshot.table(self.index),
            None => self.store.snapshot().table(self.index),
        };
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::with_capacity(2);
        if !table.files.is_empty() {
            plans.push(self.files(state, &table.files, projection, limit).await?);
        }
        if !table.live.is_empty() || plans.is_empty() {
            let partitions = [table.live];
            plans.push(MemorySourceConfig::try_new_exec(&partitions, self.schema(), projection.cloned())?);
        }
        UnionExec::try_new(plans)
    }
}

impl LiveTable {
    async fn files(
        &self,
        state: &dyn Session,
        files: &[Arc<DataFile>],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let listed = files.iter().map(partitioned).collect::<Result<Vec<_>>>()?;
        let statistics = Statistics::try_merge_iter(files.iter().map(|f| f.statistics.as_ref()), &self.schema)?;
        let groups = FileGroup::new(listed).split_files(state.config().target_partitions());
        let format = ParquetFormat::default().with_options(state.default_table_options().parquet);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(ParquetSource::new(self.schema())))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.create_physical_plan(state, config).await
    }
}

fn partitioned(file: &Arc<DataFile>) -> Result<PartitionedFile> {
    let location = ObjectPath::from_absolute_path(&file.path).map_err(|e| DataFusionError::External(Box::new(e)))?;
    let meta = ObjectMeta {
        location,
        // Files never change under their name, so a fixed date keeps their footers cached.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: file.bytes,
        e_tag: None,
        version: None,
    };
    Ok(PartitionedFile::new_from_meta(meta)
        .with_statistics(Arc::clone(&file.statistics))
        // Keeps the file on disk for as long as a plan may read it.
        .with_extension(Arc::clone(file)))
}
