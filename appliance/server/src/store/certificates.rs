//! The table of certificates. Their keys are sealed before they come here.

use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::columns::Text;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values};
use crate::domain::{Certificate, PrivateKey, Record};
use crate::vault::Sealed;

#[derive(FromRow)]
pub(crate) struct CertificateRow {
    chain: String,
    sealed_key: String,
    public_key: String,
}

impl Table for Certificate {
    const TABLE: &'static str = "certificates";
    const COLUMNS: &'static str = "chain, sealed_key, public_key";
    const SELECT: &'static str = "t.chain, t.sealed_key, t.public_key";
    const READINESS: &'static str = "iif(t.enabled, 'ready', 'disabled')";
    const FILTERS: &'static [Filter] = &[];

    type Row = CertificateRow;

    fn from_row(CertificateRow { chain, sealed_key, public_key }: CertificateRow) -> Self {
        Self { chain, private_key: Some(PrivateKey { sealed: Sealed(sealed_key), public: public_key }) }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { chain, private_key } = self;
        values.push_bind(chain.clone());
        values.push_bind(private_key.as_ref().map(|key| key.sealed.0.clone()));
        values.push_bind(private_key.as_ref().map(|key| key.public.clone()));
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let key = "/private_key";
        match &self.private_key {
            None => faults.required(key, "a certificate cannot be shown without its private key"),
            Some(given) if !self.is_of(given) => {
                faults.unfit(key, "this is not the key of the first certificate in `chain`");
            }
            Some(_) => {}
        }
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let user: Option<String> = sqlx::query_scalar(
            "SELECT s.name FROM virtual_services s, json_each(s.tls, '$.certificate_ids') c
             WHERE c.value = ? ORDER BY s.name LIMIT 1",
        )
        .bind(Text(record.id))
        .fetch_optional(&mut *connection)
        .await?;
        let name = &record.spec.meta.name;
        if let Some(user) = user {
            return Err(StoreError::InUse(format!(
                "certificate `{name}` still serves virtual service `{user}`"
            )));
        }
        let user: Option<String> = sqlx::query_scalar(
            "SELECT name FROM pools WHERE tls ->> '$.certificate_id' = ? ORDER BY name LIMIT 1",
        )
        .bind(Text(record.id))
        .fetch_optional(connection)
        .await?;
        user.map_or(Ok(()), |user| {
            Err(StoreError::InUse(format!(
                "certificate `{name}` is still shown to the members of pool `{user}`"
            )))
        })
    }
}
