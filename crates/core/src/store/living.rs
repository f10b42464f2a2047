//! How many processes live that run jobs.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::{Store, StoreError};
use crate::entities::process::{Column, Entity};

impl Store {
    /// Workers whose lease runs, `patchbay up` among them.
    ///
    /// # Errors
    /// The database.
    pub async fn living_workers(&self) -> Result<u32, StoreError> {
        let now = self.jobs().now().await?;
        let living = Entity::find()
            .filter(Column::Kind.is_in(["worker", "up"]))
            .filter(Column::EndedAt.is_null())
            .filter(Column::LeaseUntil.gt(now))
            .count(self.db())
            .await?;
        Ok(u32::try_from(living).unwrap_or(u32::MAX))
    }
}
