//! The deployment's own row, and its organizations.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use serde_json::json;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    entities::{deployment, org},
    events::EventKind,
    ids::{DeploymentId, OrgId},
};

impl Store {
    /// The deployment's id; makes it on the first call. It binds every ciphertext.
    ///
    /// # Errors
    /// The database.
    pub async fn deployment_id(&self) -> Result<DeploymentId, StoreError> {
        if let Some(row) = deployment::Entity::find().one(self.db()).await? {
            return Ok(row.id);
        }
        // Two processes may start together: the unique column keeps one row, both read it.
        deployment::Entity::insert(deployment::ActiveModel {
            id: Set(DeploymentId::new(self.clock())),
            only_row: Set(true),
            created_at: Set(self.clock().now()),
        })
        .on_conflict(
            OnConflict::column(deployment::Column::OnlyRow)
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(self.db())
        .await?;
        let row = deployment::Entity::find().one(self.db()).await?;
        row.map(|row| row.id).ok_or_else(|| StoreError::Unreadable {
            what: "deployment",
            why: "the row that was just written is not there".into(),
        })
    }

    /// Makes an organization.
    ///
    /// # Errors
    /// The database.
    pub async fn create_org(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
        actor: &str,
    ) -> Result<org::Model, StoreError> {
        let row = org::Model {
            id: OrgId::new(self.clock()),
            name: name.to_owned(),
            created_at: self.clock().now(),
        };
        org::Entity::insert(org::ActiveModel::from(row.clone()))
            .exec_without_returning(tx)
            .await?;
        self.record_event(
            tx,
            NewEvent::new(row.id, EventKind::OrgCreated, actor).data(json!({ "name": name })),
        )
        .await?;
        Ok(row)
    }

    /// One organization.
    ///
    /// # Errors
    /// The database.
    pub async fn org(&self, id: OrgId) -> Result<Option<org::Model>, StoreError> {
        Ok(org::Entity::find_by_id(id).one(self.db()).await?)
    }

    /// Holds the organization's row until the transaction ends: what is counted or read to be
    /// written over is the same then. Before any other row is held; rows that point at the
    /// organization can be written meanwhile.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_org(&self, tx: &DatabaseTransaction, id: OrgId) -> Result<(), StoreError> {
        org::Entity::find_by_id(id)
            .lock(LockType::NoKeyUpdate)
            .one(tx)
            .await?;
        Ok(())
    }

    /// Every organization, oldest first. For the operator's commands.
    ///
    /// # Errors
    /// The database.
    pub async fn orgs(&self) -> Result<Vec<org::Model>, StoreError> {
        Ok(org::Entity::find()
            .order_by_asc(org::Column::Id)
            .all(self.db())
            .await?)
    }

    /// An organization by its exact name, the oldest where several share it.
    ///
    /// # Errors
    /// The database.
    pub async fn org_by_name(&self, name: &str) -> Result<Option<org::Model>, StoreError> {
        let rows = org::Entity::find()
            .filter(org::Column::Name.eq(name))
            .order_by_asc(org::Column::Id);
        Ok(rows.one(self.db()).await?)
    }
}
