//! What a test does behind the interface: seeding, faults, the clock, and reading what was asked. Methods panic, with the test's
//! line, when it names what is not there.

mod place;

use std::sync::{Arc, MutexGuard};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::faults::{Rule, RuleId};
use crate::record::Calls;
use crate::route::Shared;
use crate::ses::Mail;
use crate::world::{Access, Home, Instance, Region, Role, Settle, State, Trail, World};

pub use place::Place;

/// Reads and changes a double. Clones share it.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// The account and keys that clients start with.
    pub fn home(&self) -> Home {
        self.world().home.clone()
    }

    // Accounts and roles.

    /// Adds an account with the regions of AWS, those to be opted in to not opted in. Every method that names an account does this.
    pub fn add_account(&self, account: &str) {
        self.world().account(account);
    }

    /// Takes an account away: its credentials are unknown from now on.
    pub fn remove_account(&self, account: &str) {
        self.world().accounts.remove(account);
    }

    /// Adds a role, or replaces the one of its ARN, and answers the ARN.
    pub fn add_role(&self, role: Role) -> String {
        let arn = role.arn.clone();
        self.world().account(role.account()).roles.insert(arn.clone(), role);
        arn
    }

    /// Takes a role away: it cannot be assumed, and its open sessions lack every permission.
    #[track_caller]
    pub fn remove_role(&self, arn: &str) {
        let account = arn.split(':').nth(4).unwrap_or_default();
        assert!(self.world().account(account).roles.remove(arn).is_some(), "no role {arn}");
    }

    /// Changes a role, open sessions included.
    #[track_caller]
    pub fn edit_role(&self, arn: &str, edit: impl FnOnce(&mut Role)) {
        match self.world().role(arn) {
            Some(role) => edit(role),
            None => panic!("no role {arn}"),
        }
    }

    /// Takes a permission, such as `sts:AssumeRole`, from the home account's user.
    pub fn home_lacks(&self, action: &str) {
        self.world().home_lacks.insert(action.to_owned());
    }

    /// Gives an account a trail, in place of the one of its name and region.
    pub fn set_trail(&self, account: &str, trail: Trail) {
        let mut world = self.world();
        let trails = &mut world.account(account).trails;
        trails.retain(|other| (&other.name, &other.home) != (&trail.name, &trail.home));
        trails.push(trail);
    }

    // Regions.

    /// How an account stands to a region; one that AWS does not have is added.
    pub fn set_region(&self, account: &str, region: &str, access: Access) {
        let mut world = self.world();
        let regions = &mut world.account(account).regions;
        regions.entry(region.to_owned()).or_insert_with(|| Region::new(region, access)).access = access;
    }

    /// Leaves an account these enabled regions only, so that a test that scans all of them has less to do than with AWS.
    pub fn only_regions(&self, account: &str, regions: &[&str]) {
        let mut world = self.world();
        let all = &mut world.account(account).regions;
        all.retain(|name, _| regions.contains(&name.as_str()));
        for name in regions {
            all.entry((*name).to_owned()).or_insert_with(|| Region::new(name, Access::Enabled)).access =
                Access::Enabled;
        }
    }

    /// An account's region, for seeding and reading.
    pub fn at(&self, account: &str, region: &str) -> Place {
        Place::new(self.clone(), account, region)
    }

    // Instances, by id wherever they are.

    /// An instance as it is now; none once it has vanished.
    pub fn instance(&self, id: &str) -> Option<Instance> {
        let mut world = self.world();
        let (account, region) = world.whereabouts(id)?;
        let site = world.site(&account, &region)?;
        site.region.instances.get(id).cloned()
    }

    /// Changes an instance as only AWS could.
    #[track_caller]
    pub fn edit(&self, id: &str, edit: impl FnOnce(&mut Instance)) {
        let mut world = self.world();
        let place = world.whereabouts(id);
        let site = place.as_ref().and_then(|(account, region)| world.site(account, region));
        match site.and_then(|site| site.region.instances.get_mut(id)) {
            Some(instance) => edit(instance),
            None => panic!("no instance {id}"),
        }
    }

    /// Sets a tag, one of AWS's (`aws:…`) too.
    #[track_caller]
    pub fn tag(&self, id: &str, key: &str, value: &str) {
        self.edit(id, |instance| _ = instance.spec_mut().tags.insert(key.to_owned(), value.to_owned()));
    }

    /// Takes a tag away.
    #[track_caller]
    pub fn untag(&self, id: &str, key: &str) {
        self.edit(id, |instance| _ = instance.spec_mut().tags.remove(key));
    }

    /// Termination protection on or off.
    #[track_caller]
    pub fn protect_termination(&self, id: &str, protected: bool) {
        self.edit(id, |instance| instance.spec_mut().disable_api_termination = protected);
    }

    /// Stop protection on or off.
    #[track_caller]
    pub fn protect_stop(&self, id: &str, protected: bool) {
        self.edit(id, |instance| instance.spec_mut().disable_api_stop = protected);
    }

    /// Puts an instance in a state as if its owner or AWS had done it: a spot request and a group follow. An intermediate state lasts
    /// as [`Self::set_settle`] says.
    #[track_caller]
    pub fn set_state(&self, id: &str, state: State) {
        let mut world = self.world();
        let Some((account, region)) = world.whereabouts(id) else { panic!("no instance {id}") };
        let Some(mut site) = world.site(&account, &region) else { panic!("no instance {id}") };
        let Some(number) = site.region.instances.number(id) else { panic!("no instance {id}") };
        let (through, there) = match state {
            State::Pending | State::Stopping | State::ShuttingDown => (state, false),
            State::Running => (State::Pending, true),
            State::Stopped => (State::Stopping, true),
            State::Terminated => (State::ShuttingDown, true),
        };
        site.send(number, through);
        if there {
            site.arrive(number);
        }
    }

    /// Takes an instance away without a trace, as AWS does an hour after it is terminated.
    #[track_caller]
    pub fn vanish(&self, id: &str) {
        let mut world = self.world();
        let place = world.whereabouts(id);
        let site = place.as_ref().and_then(|(account, region)| world.site(account, region));
        let Some(site) = site else { panic!("no instance {id}") };
        if let Some(number) = site.region.instances.number(id) {
            site.region.instances.remove(number);
        }
    }

    /// How long intermediate states last from now on; at first, one describe.
    pub fn set_settle(&self, settle: Settle) {
        self.world().settle = settle;
    }

    /// Every instance on its way arrives at once, and whatever is launched because of that.
    pub fn settle(&self) {
        self.world().settle_all();
    }

    // The clock.

    /// The double's time.
    pub fn now(&self) -> Timestamp {
        self.world().clock.now()
    }

    /// The double's clock stands still at that time, until it is set or advanced again.
    pub fn set_now(&self, at: Timestamp) {
        self.world().clock = Clock::Fixed(at);
    }

    /// The double's clock jumps ahead, running or standing.
    pub fn advance(&self, by: SignedDuration) {
        self.world().clock.advance(by);
    }

    // Faults.

    /// Injects a fault; several rules may strike one call.
    pub fn inject(&self, rule: Rule) -> RuleId {
        self.world().rules.add(rule)
    }

    /// Takes one rule away.
    pub fn heal(&self, rule: RuleId) {
        self.world().rules.remove(rule);
    }

    /// Takes all rules away.
    pub fn heal_all(&self) {
        self.world().rules.clear();
    }

    /// How many calls a rule struck.
    pub fn struck(&self, rule: RuleId) -> u32 {
        self.world().rules.struck(rule)
    }

    // The record.

    /// Every call since the start, or since [`Self::forget_calls`].
    pub fn calls(&self) -> Calls {
        self.world().record.all()
    }

    /// Empties the record of calls.
    pub fn forget_calls(&self) {
        self.world().record.clear();
    }

    // Mail.

    /// Every mail that was accepted.
    pub fn mails(&self) -> Vec<Mail> {
        self.world().mail.mails.clone()
    }

    /// Forgets the mail so far.
    pub fn forget_mails(&self) {
        self.world().mail.mails.clear();
    }

    /// Refuses mail from and to an address, or a whole domain when given as `@bigdb.example`: `MessageRejected`.
    pub fn refuse_mail(&self, address: &str) {
        self.world().mail.refused.insert(address.to_owned());
    }

    /// Accepts mail for that address or domain again.
    pub fn accept_mail(&self, address: &str) {
        self.world().mail.refused.remove(address);
    }

    /// The most mails an account may send in a second of the double's clock; past it `TooManyRequestsException`.
    pub fn limit_mail(&self, a_second: Option<u32>) {
        self.world().mail.rate = a_second;
    }

    /// Pauses the sending of mail: `SendingPausedException`.
    pub fn pause_mail(&self, paused: bool) {
        self.world().mail.paused = paused;
    }
}
