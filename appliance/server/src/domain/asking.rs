//! How members are asked, as a part of their pool.

use http::HeaderName;
use lb_model::asking::{Breaker, Hedge, Outlier, Persistence, PersistenceKind, Queue, Retries};
use serde_json::Value;

use super::fields::{self, Fault, Fields};

const KINDS: &[(&str, PersistenceKind)] = &[
    ("cookie", PersistenceKind::Cookie),
    ("app_cookie", PersistenceKind::AppCookie),
    ("header", PersistenceKind::Header),
    ("source", PersistenceKind::Source),
];

pub(super) fn persistence(fields: &mut Fields<'_>) -> Option<Persistence> {
    let kind = fields.required("kind", fields::word(KINDS));
    let default = (kind == Some(PersistenceKind::Cookie)).then(|| "penstock".to_owned());
    let name = fields.nullable("name", |value| name(kind, value))?.or(default);
    let timeout_s = fields.nullable("timeout_s", |value| match kind {
        None | Some(PersistenceKind::Cookie | PersistenceKind::Source) => {
            fields::number(1, 31_536_000)(value)
        }
        Some(_) => Err(Fault::new("invalid", "only for a cookie of ours, or a client's address")),
    });
    let prefix = fields.optional("prefix", 32, |value| match kind {
        None | Some(PersistenceKind::Source) => fields::number(1, 32)(value),
        Some(_) if value == 32 => Ok(32),
        Some(_) => Err(Fault::new("invalid", "only for a client's address")),
    });
    let prefix_v6 = fields.optional("prefix_v6", 128, |value| match kind {
        None | Some(PersistenceKind::Source) => fields::number(1, 128)(value),
        Some(_) if value == 128 => Ok(128),
        Some(_) => Err(Fault::new("invalid", "only for a client's address")),
    });
    let shared = fields.optional("shared", false, |value| match kind {
        None | Some(PersistenceKind::Source) => fields::boolean(value),
        Some(_) if value == false => Ok(false),
        Some(_) => Err(Fault::new("invalid", "only for a client's address")),
    });
    let kind = kind?;
    if name.is_none() && kind != PersistenceKind::Source {
        fields.fault("name", Fault::new("required", "which one? `name` is missing"));
        return None;
    }
    let prefix = u8::try_from(prefix?).unwrap_or(32);
    let prefix_v6 = u8::try_from(prefix_v6?).unwrap_or(128);
    Some(Persistence { kind, name, timeout_s: timeout_s?, prefix, prefix_v6, shared: shared? })
}

fn name(kind: Option<PersistenceKind>, value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=64)(value)?;
    // RFC 6265, 4.1.1: a cookie's name is a token, as a header field's is.
    let token = HeaderName::from_bytes(text.as_bytes());
    let token = token.map_err(|_| Fault::new("invalid", "want the name of a cookie or header field"))?;
    match kind {
        Some(PersistenceKind::Source) => Err(Fault::new("invalid", "an address has no name")),
        Some(PersistenceKind::Header) => Ok(token.as_str().to_owned()),
        _ => Ok(text),
    }
}

pub(super) fn retries(fields: &mut Fields<'_>) -> Option<Retries> {
    let attempts = fields.optional("attempts", 2, fields::number(0, 10));
    let codes = fields.optional_list("codes", 16, |value| {
        let code = fields::number(400, 599)(value)?;
        u16::try_from(code).map_err(|_| Fault::new("out_of_range", "want 400 to 599"))
    });
    let budget_percent = fields.optional("budget_percent", 100, fields::number(0, 1000));
    Some(Retries { attempts: attempts?, codes: codes?, budget_percent: budget_percent? })
}

pub(super) fn queue(fields: &mut Fields<'_>) -> Option<Queue> {
    let length = fields.optional("length", 100, fields::number(1, 100_000));
    let timeout_s = fields.optional("timeout_s", 5, fields::number(1, 600));
    Some(Queue { length: length?, timeout_s: timeout_s? })
}

pub(super) fn breaker(fields: &mut Fields<'_>) -> Option<Breaker> {
    let percent = fields.optional("percent", 50, fields::number(1, 100));
    let requests = fields.optional("requests", 20, fields::number(1, 100_000));
    let open_s = fields.optional("open_s", 10, fields::number(1, 600));
    Some(Breaker { percent: percent?, requests: requests?, open_s: open_s? })
}

pub(super) fn hedge(fields: &mut Fields<'_>) -> Option<Hedge> {
    let delay_ms = fields.required("delay_ms", fields::number(1, 60_000));
    Some(Hedge { delay_ms: delay_ms? })
}

pub(super) fn outlier(fields: &mut Fields<'_>) -> Option<Outlier> {
    let consecutive = fields.optional("consecutive", 5, fields::number(1, 1000));
    let percent = fields.nullable("percent", fields::number(1, 100));
    let ejection_s = fields.optional("ejection_s", 30, fields::number(1, 600));
    let max_percent = fields.optional("max_percent", 50, fields::number(1, 99));
    Some(Outlier {
        consecutive: consecutive?,
        percent: percent?,
        ejection_s: ejection_s?,
        max_percent: max_percent?,
    })
}

/// Their shapes, for the API's description: lb-model itself knows no framework.
pub(super) mod shape {
    #![expect(dead_code, reason = "shapes for the API's description")]

    use utoipa::ToSchema;

    /// By what a client keeps its member. Where it is proxied (`http`, `https`), this survives a restart, and a change that leaves the member
    /// there. Services by `tcp` and `udp` know `source` alone: the plane remembers who has which member, for so many clients as a quarter of the
    /// connections it has room for. A member that drains keeps its clients.
    #[derive(ToSchema)]
    pub(crate) struct Persistence {
        /// `cookie` gives the client a cookie that tells nothing of the member; `app_cookie` puts the same in front of the value of the
        /// application's own cookie, and takes it off before the member sees it; with `header` and `source` the same value, or the same
        /// address, has the same member as long as that takes requests. By `tcp` and `udp` only `source` means anything.
        kind: PersistenceKind,
        /// The cookie or header field; for `cookie`, `penstock` without it; null for `source`.
        #[schema(min_length = 1, max_length = 64, example = "session")]
        name: Option<String>,
        /// For `cookie`: for how many seconds the client keeps it; null: as long as its session lasts. For `source` by `tcp` and `udp`:
        /// for how many seconds after its last connection a client keeps its member, to within four; null: 300.
        #[schema(minimum = 1, maximum = 31_536_000, example = 3600)]
        timeout_s: Option<u32>,
        /// For `source`: how many leading bits of an IPv4 address count.
        #[schema(minimum = 1, maximum = 32, default = 32)]
        prefix: u8,
        /// For `source`: how many of an IPv6 address.
        #[schema(minimum = 1, maximum = 128, default = 128)]
        prefix_v6: u8,
        /// For `source` by `tcp` and `udp`: a client has the same member, by the member's address, in all services of a virtual IP whose
        /// pools say so.
        #[schema(default = false)]
        shared: bool,
    }

    /// By what a client keeps its member.
    #[derive(ToSchema)]
    #[schema(rename_all = "snake_case", example = "cookie")]
    pub(crate) enum PersistenceKind {
        Cookie,
        AppCookie,
        Header,
        Source,
    }

    /// What is asked of another member of an HTTP service: what could not be sent always; what got no answer, or one of these codes, if
    /// the method is idempotent (RFC 9110, 9.2.2) and there is no body.
    #[derive(ToSchema)]
    pub(crate) struct Retries {
        /// How often one request is, at most.
        #[schema(minimum = 0, maximum = 10, default = 2)]
        attempts: u32,
        /// Codes of answers that are not taken while another member can be asked.
        #[schema(value_type = Vec<RetryCode>, max_items = 16, default = json!([]))]
        codes: Vec<u16>,
        /// How many there are for a hundred requests at most, over the last ten thousand of them; ten are there to begin with.
        #[schema(minimum = 0, maximum = 1000, default = 100)]
        budget_percent: u32,
    }

    /// A status that is worth another attempt.
    #[derive(ToSchema)]
    #[schema(value_type = u16, minimum = 400, maximum = 599, example = 503)]
    pub(crate) struct RetryCode(u16);

    /// What waits while every member has as many requests as its `connection_limit` says; they get their turn in the order in which they came.
    #[derive(ToSchema)]
    pub(crate) struct Queue {
        /// How many wait at most; further ones are answered with 503 at once.
        #[schema(minimum = 1, maximum = 100_000, default = 100)]
        length: u32,
        /// For how many seconds each of them does; it is answered with 503 then.
        #[schema(minimum = 1, maximum = 600, default = 5)]
        timeout_s: u32,
    }

    /// When a pool is left alone as a whole. What would be asked of it goes to another pool of the policy's, if there is one, and is
    /// answered with 503 at once otherwise (`circuit_open`). After `open_s` one request tries it: if that is served, so are all others. A failure
    /// is no answer, or one of 500 and above. Single members are `outlier`'s matter, how many requests there are at a time that of `connection_limit`
    /// and `queue`.
    #[derive(ToSchema)]
    pub(crate) struct Breaker {
        /// So many of a hundred requests to the pool within ten seconds fail.
        #[schema(minimum = 1, maximum = 100, default = 50)]
        percent: u32,
        /// If there were so many at least.
        #[schema(minimum = 1, maximum = 100_000, default = 20)]
        requests: u32,
        /// For how many seconds it is left alone until one request tries it.
        #[schema(minimum = 1, maximum = 600, default = 10)]
        open_s: u32,
    }

    /// What is asked of a second member as well, when the first one takes long: whichever answers first serves the client, the other request
    /// is taken back. Only what can be asked twice without harm (GET, HEAD, OPTIONS, PUT, DELETE without a body), of clients that keep no member, and out
    /// of the budget of `retries`.
    #[derive(ToSchema)]
    pub(crate) struct Hedge {
        /// After how many milliseconds without an answer.
        #[schema(minimum = 1, maximum = 60_000, example = 200)]
        delay_ms: u32,
    }

    /// When a member of an HTTP service is left out although no check found it down. A failure is no answer, or one of 500 and above. If
    /// nobody else is left it is asked all the same.
    #[derive(ToSchema)]
    pub(crate) struct Outlier {
        /// So many failures in a row.
        #[schema(minimum = 1, maximum = 1000, default = 5)]
        consecutive: u32,
        /// Or so many of a hundred requests within ten seconds, of twenty at least; null: however many.
        #[schema(minimum = 1, maximum = 100, example = 50)]
        percent: Option<u32>,
        /// For how many seconds the first time; twice as long each time after it, up to ten minutes.
        #[schema(minimum = 1, maximum = 600, default = 30)]
        ejection_s: u32,
        /// How many of a hundred members are left out at most at a time.
        #[schema(minimum = 1, maximum = 99, default = 50)]
        max_percent: u32,
    }
}
