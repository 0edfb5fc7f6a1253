//! The table of certificates. Their keys are sealed before they come here.

use lb_model::CertificateId;
use serde_json::json;
use sqlx::{FromRow, SqliteConnection};

use super::columns::Text;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values, find};
use super::{Outcome, Store, StoreError, audit};
use crate::domain::{Asked, Author, Certificate, PrivateKey, Record};
use crate::vault::Sealed;

#[derive(FromRow)]
pub(crate) struct CertificateRow {
    chain: Option<String>,
    sealed_key: Option<String>,
    public_key: Option<String>,
    csr: Option<String>,
    asked_sealed_key: Option<String>,
    asked_public_key: Option<String>,
}

impl Table for Certificate {
    const TABLE: &'static str = "certificates";
    const COLUMNS: &'static str = "chain, sealed_key, public_key, csr, asked_sealed_key, asked_public_key";
    const SELECT: &'static str =
        "t.chain, t.sealed_key, t.public_key, t.csr, t.asked_sealed_key, t.asked_public_key";
    const READINESS: &'static str = "iif(t.enabled, 'ready', 'disabled')";
    const FILTERS: &'static [Filter] = &[];

    type Row = CertificateRow;

    fn from_row(row: CertificateRow) -> Self {
        let CertificateRow { chain, sealed_key, public_key, csr, asked_sealed_key, asked_public_key } = row;
        let asked = csr.zip(key(asked_sealed_key, asked_public_key)).map(|(csr, key)| Asked { csr, key });
        Self { chain, private_key: key(sealed_key, public_key), asked }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { chain, private_key, asked } = self;
        values.push_bind(chain.clone());
        bind_key(private_key.as_ref(), values);
        values.push_bind(asked.as_ref().map(|asked| asked.csr.clone()));
        bind_key(asked.as_ref().map(|asked| &asked.key), values);
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let key = "/private_key";
        match (&self.chain, &self.private_key, &self.asked) {
            (None, Some(_), _) => {
                faults.required("/chain", "a private key is of no use without its certificate");
            }
            (Some(_), Some(given), None) if !self.is_of(given) => {
                faults.unfit(key, "this is not the key of the first certificate in `chain`");
            }
            (Some(_), Some(given), Some(_)) if !self.is_of(given) => {
                let detail = "the first certificate is neither of the key that is here nor of that of `csr`";
                faults.unfit("/chain", detail);
            }
            (Some(_), None, Some(_)) => {
                faults.unfit("/chain", "the first certificate was not made for the key of `csr`");
            }
            (Some(_), None, None) => {
                faults.required(key, "a certificate cannot be shown without its private key");
            }
            // It fits, or is still to be signed.
            (None, None, _) | (Some(_), Some(_), _) => {}
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

impl Store {
    /// Keeps what an authority is asked for, in the place of what was asked before; what serves goes on serving.
    pub(crate) async fn ask_for_certificate(
        &self,
        author: &Author,
        place: Place<Certificate>,
        asked: &Asked,
    ) -> Result<Record<Certificate>, StoreError> {
        let mut transaction = self.write().await?;
        let Record { spec, .. } = find(&place, &mut transaction).await?;
        let Asked { csr, key: PrivateKey { sealed, public } } = asked;
        sqlx::query(
            "UPDATE certificates SET (csr, asked_sealed_key, asked_public_key) = (?, ?, ?) WHERE id = ?",
        )
        .bind(csr)
        .bind(&sealed.0)
        .bind(public)
        .bind(Text(place.id))
        .execute(&mut *transaction)
        .await?;
        let details = json!({ "id": place.id, "name": spec.meta.name, "comment": author.comment });
        audit::append(author, "certificate.request", Outcome::Succeeded, details, &mut transaction).await?;
        let record = find(&place, &mut transaction).await?;
        transaction.commit().await?;
        Ok(record)
    }
}

fn key(sealed: Option<String>, public: Option<String>) -> Option<PrivateKey> {
    sealed.zip(public).map(|(sealed, public)| PrivateKey { sealed: Sealed(sealed), public })
}

fn bind_key(key: Option<&PrivateKey>, values: &mut Values<'_>) {
    values.push_bind(key.map(|key| key.sealed.0.clone()));
    values.push_bind(key.map(|key| key.public.clone()));
}

/// Names the field that refers to a certificate which nobody can be shown.
pub(super) async fn check_shown(
    pointer: &str,
    id: CertificateId,
    faults: &mut Faults,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let signed: Option<bool> = sqlx::query_scalar("SELECT chain IS NOT NULL FROM certificates WHERE id = ?")
        .bind(Text(id))
        .fetch_optional(connection)
        .await?;
    match signed {
        None => faults.missing(pointer, format!("there is no certificate {id}")),
        Some(false) => faults.unfit(pointer, "this certificate is still to be signed"),
        Some(true) => {}
    }
    Ok(())
}
