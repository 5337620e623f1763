//! `tributary run`: runs a network until it ends, its time is over, or a signal comes.

use super::check::{counted, refuse_unlinked};
use super::watch::ScriptFiles;
use super::{load, signals};
use crate::admin::{Admin, AdminOptions, reload_logged};
use crate::script::ReloadOptions;
use crate::time::{Backoff, Clock as _, SystemClock};
use crate::{Error, ErrorKind, Network, NodeKind, Result, Runtime, Stats};
use std::time::Duration;

/// Run the network that the scripts build, until it ends by itself or is stopped.
///
/// Ctrl-C and SIGTERM stop the sources and drain what is in flight; a second one aborts.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    load: load::Scripts,

    /// Stop after this time, such as 10s or 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    run_for: Option<Duration>,

    /// The time limit for draining after a stop
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration,
          allow_hyphen_values = true)]
    drain: Duration,

    /// Print the counts of every node and link to standard error at the end
    #[arg(long)]
    stats: bool,

    /// End with code 69 if a database or a broker is not available at the start, instead of retrying
    #[arg(long)]
    fail_fast: bool,

    /// Wait while another process uses a checkpoint, a queue or a database file of windows, and take over
    /// when it has ended
    #[arg(long)]
    wait_lock: bool,

    /// Refuse a network in which something is not linked
    #[arg(long)]
    strict: bool,

    /// End with code 65 if an event was rejected
    #[arg(long)]
    fail_on_reject: bool,

    /// Load a script again when its file, one that it requires, or a helper changes; what has changed in it
    /// changes in the network, the rest goes on
    #[arg(long)]
    watch: bool,

    /// Show the running network at this address: a page, metrics, health, an API
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,

    /// The token for the admin address, as ${env:NAME} or ${file:PATH}; on the loopback only changes need it
    #[arg(long, value_name = "TOKEN", value_parser = super::token, requires = "admin")]
    admin_token: Option<String>,
}

impl Options {
    /// Begins to show the network, before there is one.
    fn admin(&self) -> Result<Option<Admin>> {
        let Some(address) = &self.admin else {
            return Ok(None);
        };
        let mut options = AdminOptions::new(address);
        if let Some(token) = &self.admin_token {
            options = options.token(token);
        }
        let admin = Admin::listen(&options)?;
        log::info!("shown at http://{}", shown_address(address, admin.port()));
        Ok(Some(admin))
    }
}

/// The address with the port that was chosen.
fn shown_address(address: &str, port: u16) -> String {
    match address.rsplit_once(':') {
        Some((host, _)) => format!("{host}:{port}"),
        None => address.to_owned(),
    }
}

/// An error where events were rejected, and `--fail-on-reject` asks for one.
pub fn refuse_rejects(stats: &Stats) -> Result<()> {
    let rejected = stats.nodes.iter().filter_map(|node| {
        let events = node.rejected + node.refused;
        (events > 0).then(|| format!("{} rejected {events}", node.name))
    });
    let rejected: Vec<String> = rejected.collect();
    if rejected.is_empty() {
        Ok(())
    } else {
        Err(Error::data(format!(
            "events were rejected: {}",
            rejected.join(", ")
        )))
    }
}

fn duration(text: &str) -> Result<Duration, Error> {
    crate::time::parse_positive_duration(text)
}

/// How often a file that is in use is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until the network has locked the files that it needs. A signal ends the process meanwhile.
fn stand_by(network: &Network) -> Result<()> {
    let mut logged = String::new();
    loop {
        match network.lock_files() {
            Err(error) if error.kind() == ErrorKind::Locked => {
                if logged != error.message() {
                    error.message().clone_into(&mut logged);
                    log::warn!("standing by: {logged}");
                }
                std::thread::sleep(LOOK);
            }
            locked => {
                if locked.is_ok() && !logged.is_empty() {
                    log::warn!("taking over");
                }
                return locked;
            }
        }
    }
}

/// The pauses between attempts to connect to the database.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(3));

/// Builds the network. A database server that is not available is waited for, as one is that a single
/// node uses; but here nothing runs meanwhile, since tables and queries are checked against the schema
/// before there is a network. `None` where the time of the run was over first. A signal ends the process.
fn load_network(options: &Options) -> Result<Option<(Network, Runtime)>> {
    let begun = SystemClock.now();
    let left = || {
        let passed = SystemClock.now().as_micros() - begun.as_micros();
        let passed = Duration::from_micros(u64::try_from(passed).unwrap_or_default());
        let time = options.run_for.unwrap_or(Duration::MAX);
        time.saturating_sub(passed)
    };
    let mut failures = 0;
    let mut logged = String::new();
    loop {
        let error = match load::load_within(&options.load, left()) {
            Ok(loaded) => {
                if !logged.is_empty() {
                    log::warn!("the database is available");
                }
                return Ok(Some(loaded));
            }
            Err(error) => error,
        };
        let dialect = crate::store::dialect_of(&options.load.setup.db);
        let is_server = dialect.is_some_and(|dialect| dialect.is_server());
        if !is_server || !error.is_retryable() || options.fail_fast {
            return Err(error);
        }
        if left().is_zero() {
            log::warn!("stopped before the network was built: {error}");
            return Ok(None);
        }
        if logged != error.message() {
            error.message().clone_into(&mut logged);
            log::warn!("waiting for the database: {logged}; {}", load::SCHEMA);
        }
        failures += 1;
        std::thread::sleep(BACKOFF.pause(failures).min(left()));
    }
}

/// Loads scripts again while the network runs: where a client, a signal or a file gives a reason to.
struct Changing {
    runtime: Runtime,
    admin: Option<Admin>,
    /// With `--watch`.
    files: Option<ScriptFiles>,
}

impl Changing {
    /// Loads these scripts again, each as a whole or not at all.
    fn reload(&mut self, names: &[String]) {
        let mut failed = false;
        for name in names {
            if let Err(error) = reload_logged(&self.runtime, name, &ReloadOptions::new()) {
                failed = true;
                log::error!("{name} was not loaded again, and the network is as before: {error}");
            }
        }
        if let Some(admin) = &self.admin {
            admin.describe(&self.runtime);
        }
        if let Some(files) = &mut self.files {
            files.loaded(&self.runtime, failed);
        }
    }
}

impl signals::Meanwhile for Changing {
    fn turn(&mut self) -> bool {
        if let Some(files) = &mut self.files {
            let changed = files.changed(&self.runtime);
            if !changed.is_empty() {
                self.reload(&changed);
            }
        }
        let Some(admin) = &self.admin else {
            return false;
        };
        if admin.make_changes(&self.runtime, Duration::ZERO) > 0
            && let Some(files) = &mut self.files
        {
            files.loaded(&self.runtime, false);
        }
        admin.stop_requested()
    }

    fn reload(&mut self) {
        log::info!("SIGHUP: the scripts are loaded again");
        let units = self.runtime.units().into_iter();
        let names: Vec<String> = units.map(|unit| unit.name).collect();
        self.reload(&names);
    }
}

pub fn run(options: &Options) -> Result<()> {
    let admin = options.admin()?;
    // Until it starts there is nothing to drain: a signal just ends the process.
    let Some((network, runtime)) = load_network(options)? else {
        return Ok(());
    };
    let files = options.watch.then(|| ScriptFiles::of(&runtime));
    if let Some(admin) = &admin {
        admin.describe(&runtime);
        admin.show(&network);
    }
    if options.strict {
        refuse_unlinked(&network)?;
    }
    if !network
        .nodes()
        .iter()
        .any(|node| node.kind == NodeKind::Source)
    {
        return Err(
            Error::new(ErrorKind::Data, "nothing to run: the network has no source")
                .with_hint("create one in a script, or add one with --input NODE=FILE"),
        );
    }
    if options.wait_lock {
        stand_by(&network)?;
    }
    let mut watch = signals::Watch::begin()?;
    network.fail_fast(options.fail_fast);
    let begun = SystemClock.now();
    let is_over = || {
        options
            .run_for
            .is_some_and(|time| SystemClock.now() >= begun.saturating_add(time))
    };
    match network.start_while(|| !watch.is_over() && !is_over()) {
        // Nothing was read so far.
        Err(error) if error.kind() == ErrorKind::Closed => {
            log::warn!("{error}");
            return Ok(());
        }
        started => started?,
    }
    let (nodes, links) = (network.nodes().len(), network.edges().len());
    let (nodes, links) = (counted(nodes, "node"), counted(links, "link"));
    log::info!("started: {nodes}, {links}");
    let mut changing = Changing {
        files,
        runtime,
        admin,
    };
    let ended = watch.started().end(
        &network,
        options.run_for,
        options.drain,
        Some(&mut changing),
    );
    if ended.is_ok() {
        log::info!("ended");
    }
    if options.stats {
        let stats = network.stats().to_string();
        // An error of writing it could be written nowhere else.
        super::scrubbed::to_stderr(&stats);
    }
    if options.fail_on_reject && ended.is_ok() {
        return refuse_rejects(&network.stats());
    }
    ended
}
