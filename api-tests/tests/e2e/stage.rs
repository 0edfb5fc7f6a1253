//! A claimed appliance in its lab, with a virtual service that two members serve.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Answer, Api, Checksum, Download, Driver, Lab, LabOptions, Resets};
use serde_json::{Value, json};

/// For what should take milliseconds, and takes seconds on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Long enough for an answer, if there is to be one.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);
/// Slow enough for something to happen during a download of 200 MiB.
pub(crate) const RATE: u64 = 50 << 20;

/// The API shows numbers again that are younger than 200 ms; two answers this far apart were counted apart.
const SHOWN_AGAIN: Duration = Duration::from_millis(300);

const USER: &str = "admin";
const PASSWORD: &str = "gate of the penstock";

/// One at a time: labs are noisy neighbours on a small machine.
static ALONE: Mutex<()> = Mutex::new(());

/// The stage of an end-to-end test. Its end is [`Stage::leave`]; a test that fails drops it without.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) api: Api,
    pub(crate) virtual_ip: String,
    pub(crate) pool: String,
    members: [String; 2],
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// With the checksums that suit the peers.
    pub(crate) fn set(driver: Driver, offload: bool) -> Result<Self> {
        Self::set_with(&LabOptions::for_test(driver, offload)?)
    }

    /// With other checksums than those that suit the peers.
    pub(crate) fn set_with_checksum(driver: Driver, offload: bool, checksum: Checksum) -> Result<Self> {
        Self::set_with(&LabOptions { checksum, ..LabOptions::for_test(driver, offload)? })
    }

    /// With whatever else can be chosen.
    pub(crate) fn set_with(options: &LabOptions) -> Result<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = Lab::start(options)?;
        let api = claim(&lab)?;
        let virtual_ip =
            id(&api.create("/virtual-ips", &json!({ "name": "front", "address": VIRTUAL_IP }))?)?;
        let pool = id(&api.create("/pools", &json!({ "name": "web" }))?)?;
        let members = [add_member(&api, &pool, 0)?, add_member(&api, &pool, 1)?];
        let service = json!({
            "name": "web", "virtual_ip_ids": [virtual_ip], "protocol": "tcp", "port": 80, "default_pool_id": pool,
        });
        api.create("/virtual-services", &service)?;
        let stage = Self { lab, api, virtual_ip, pool, members, _alone: alone };
        stage.await_forwarding()?;
        Ok(stage)
    }

    /// Waits until the appliance forwards by what was written last.
    pub(crate) fn await_forwarding(&self) -> Result<()> {
        self.api.await_observed("/status", PATIENCE).map(drop)
    }

    /// One request of the client.
    pub(crate) fn get(&self) -> Result<Answer> {
        self.lab.client().get(&format!("http://{VIRTUAL_IP}/"), PATIENCE)
    }

    /// So many requests of the client, counted by who answered: member 1, member 2.
    pub(crate) fn get_many(&self, requests: usize) -> Result<[usize; 2]> {
        let mut answers = [0, 0];
        for request in 0..requests {
            match self.get()? {
                Answer::Body(body) if body == "member-1" => answers[0] += 1,
                Answer::Body(body) if body == "member-2" => answers[1] += 1,
                other => bail!("request {request} was answered by {other:?}"),
            }
        }
        Ok(answers)
    }

    /// A download of 200 MiB that has begun and will take four seconds.
    pub(crate) fn download(&self) -> Result<Download> {
        let download = self.lab.client().download(&format!("http://{VIRTUAL_IP}/big"), RATE)?;
        download.await_bytes(RATE / 2, PATIENCE)?;
        Ok(download)
    }

    /// Waits for the download's end: all of it must have come.
    pub(crate) fn finish(&self, download: Download) -> Result<()> {
        let checksum = download.finish()?;
        ensure!(checksum == self.lab.big_sha256(), "the download was damaged");
        Ok(())
    }

    /// Where a member (0 is the first) is in the API.
    pub(crate) fn member_path(&self, member: usize) -> String {
        format!("/pools/{}/members/{}", self.pool, self.members[member])
    }

    /// Removes a member from the pool.
    pub(crate) fn remove_member(&self, member: usize) -> Result<()> {
        self.api.remove(&self.member_path(member))?;
        self.await_forwarding()
    }

    /// Puts it back.
    pub(crate) fn add_member(&mut self, member: usize) -> Result<()> {
        self.members[member] = add_member(&self.api, &self.pool, member)?;
        self.await_forwarding()
    }

    /// What every test ends with: nobody was reset, and every frame that came in went somewhere.
    pub(crate) fn leave(self) -> Result<()> {
        ensure!(self.lab.resets()? == Resets::default(), "connections were reset: {:?}", self.lab.resets()?);
        self.balanced()
    }

    /// For a test that provoked a reset: every frame that came in went somewhere.
    pub(crate) fn balanced(self) -> Result<()> {
        let accounting = self.accounting_at_rest()?;
        ensure!(imbalance(&accounting) == Some(0), "frames have no whereabouts: {accounting:#}");
        Ok(())
    }

    /// The accounting once it has counted all: it stands still.
    pub(crate) fn accounting_at_rest(&self) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = Value::Null;
        loop {
            let accounting = self.api.get("/stats")?.expect_status(200)?.body["accounting"].take();
            if accounting == before && accounting["received"] != 0 {
                return Ok(accounting);
            }
            ensure!(Instant::now() < deadline, "the accounting does not come to rest: {accounting:#}");
            before = accounting;
            thread::sleep(SHOWN_AGAIN);
        }
    }
}

/// Frames that came in and did not go anywhere that has a name.
pub(crate) fn imbalance(accounting: &Value) -> Option<i128> {
    let count = |name: &str| accounting.get(name)?.as_u64().map(i128::from);
    let drops = accounting.get("drops")?.as_object()?.values().map(|count| count.as_u64().map(i128::from));
    let dropped = drops.sum::<Option<i128>>()?;
    let entered = count("received")? + count("from_twin")? + count("originated")?;
    let left = count("sent")? + count("punted")? + count("consumed")? + count("held")? + dropped;
    Some(entered - left)
}

fn claim(lab: &Lab) -> Result<Api> {
    let api = Api::at(lab.appliance().api())?;
    let claim = json!({ "code": lab.appliance().claim_code()?, "username": USER, "password": PASSWORD });
    let claimed = api.post("/claim", &claim)?.expect_status(201)?;
    Ok(api.with_token(claimed.body["access_token"].as_str().context("claiming gave no token")?))
}

fn add_member(api: &Api, pool: &str, member: usize) -> Result<String> {
    let name = format!("member-{}", member + 1);
    let member = json!({ "name": name, "address": MEMBERS[member], "port": 80 });
    id(&api.create(&format!("/pools/{pool}/members"), &member)?)
}

fn id(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().context("a resource without an id")?.to_owned())
}
