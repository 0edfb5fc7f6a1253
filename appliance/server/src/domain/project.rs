//! A project: a part of what is balanced, with users of its own and limits on how much it may have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{self, Fields};
use super::{Kind, Owner};

/// The project that everything belongs to of which nobody says another. It is on every appliance.
pub(crate) const DEFAULT_PROJECT: Uuid = Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000);

/// The most that a quota can allow.
const QUOTA_MAX: u32 = 10_000_000;

/// A part of what is balanced. Its users see and change what is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Project {
    /// How many of each kind it may have.
    #[schema(default = json!({}))]
    pub(crate) quotas: Quotas,
    /// How many of each kind it has, by table.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) used: BTreeMap<String, u32>,
}

/// How many of each kind a project may have; null: as many as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Quotas {
    #[schema(minimum = 0, maximum = 10_000_000, example = 10)]
    pub(crate) virtual_ips: Option<u32>,
    #[schema(minimum = 0, maximum = 10_000_000, example = 10)]
    pub(crate) virtual_services: Option<u32>,
    #[schema(minimum = 0, maximum = 10_000_000, example = 100)]
    pub(crate) policies: Option<u32>,
    #[schema(minimum = 0, maximum = 10_000_000, example = 10)]
    pub(crate) certificates: Option<u32>,
    #[schema(minimum = 0, maximum = 10_000_000, example = 20)]
    pub(crate) pools: Option<u32>,
    /// In all its pools together.
    #[schema(minimum = 0, maximum = 10_000_000, example = 200)]
    pub(crate) members: Option<u32>,
    #[schema(minimum = 0, maximum = 10_000_000, example = 20)]
    pub(crate) monitors: Option<u32>,
}

impl Quotas {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mut most = |key| fields.nullable(key, fields::number(0, QUOTA_MAX));
        let (virtual_ips, virtual_services) = (most("virtual_ips"), most("virtual_services"));
        let (policies, certificates) = (most("policies"), most("certificates"));
        let (pools, members, monitors) = (most("pools"), most("members"), most("monitors"));
        Some(Self {
            virtual_ips: virtual_ips?,
            virtual_services: virtual_services?,
            policies: policies?,
            certificates: certificates?,
            pools: pools?,
            members: members?,
            monitors: monitors?,
        })
    }
}

impl Kind for Project {
    type Id = Uuid;
    type Parent = ();

    const NOUN: &'static str = "project";
    const OWNER: Owner = Owner::Itself;
    const EXAMPLE: &'static str =
        r#"{ "name": "shop", "quotas": { "virtual_services": 10, "members": 200 } }"#;

    fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { quotas: fields.object("quotas", Quotas::read)?, used: BTreeMap::new() })
    }

    fn inherit(&mut self, before: &Self) {
        self.used.clone_from(&before.used);
    }
}
