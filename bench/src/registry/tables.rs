//! The registry in PostgreSQL as a careful engineer would lay it out, and the check on it: in one
//! joined statement, and in a statement for each fact.

use std::fmt::Write as _;

use anyhow::ensure;

use super::made::{self, Made, EDITION};
use super::postgres::{Client, Column};
use crate::machine;

/// The instant of all checks, as PostgreSQL reads it.
const AT: &str = "2026-03-10T10:00:00+08:00";
/// Its day.
const DAY: &str = "2026-03-10";

const TABLES: &str = "
create table enterprise (id text, name text, status text);
create table vehicle (plate text, category text, registration text, presence text, plate_colour text, body text,
  enterprise text, registration_valid_to date, documents_valid_to date, rated_load_t float4);
create table card (id text, type text, plate text, status text, valid_from date, valid_to date, task text,
  cancel_reason text, issue_id text);
create table task (code text, kind text, plate text, state text, cargo_in text, cargo_out text,
  window_from timestamptz, window_to timestamptz, body text, work_unit text, phone text, issue_id text);
create table ban (id text, plate text, kind text, from_at timestamptz, to_at timestamptz);
create table inspection_order (id text, plate text, state text, by_whom text);
create table presence (plate text, inside boolean, checkpoint text, seen_at timestamptz);
create table used (plate text, kind text, id text, state text, issue text, passage text, at timestamptz);
create table reservation (plate text, what text, approach text, lane text, until timestamptz);";

const INDEXES: &str = "
alter table enterprise add primary key (id);
alter table vehicle add primary key (plate);
alter table card add primary key (id);
alter table task add primary key (code);
create index on task (plate);
alter table ban add primary key (id);
create index on ban (plate);
alter table inspection_order add primary key (id);
create index on inspection_order (plate);
alter table presence add primary key (plate);
alter table used add primary key (plate, kind, id);
alter table reservation add primary key (plate, what);";

/// $1 plate, $2 card, $3 instant.
const JOINED: &str = "
select v.category, v.registration, v.registration_valid_to, v.documents_valid_to, v.plate_colour, v.body, v.presence, v.enterprise,
  e.status, c.plate, c.type, c.status, c.valid_from, c.valid_to, c.task, c.issue_id, cu.state,
  t.code, t.plate, t.state, t.cargo_in, t.cargo_out, t.window_from, t.window_to, tu.state,
  exists (select from ban b where b.plate = $1 and b.kind = 'ONE_YEAR' and b.from_at <= $3 and (b.to_at is null or $3 < b.to_at)),
  exists (select from ban b where b.plate = $1 and b.kind = 'BLACKLIST' and b.from_at <= $3 and (b.to_at is null or $3 < b.to_at)),
  exists (select from inspection_order i where i.plate = $1 and i.state = 'OPEN'),
  exists (select from reservation r where r.plate = $1 and $3 < r.until),
  p.inside, p.checkpoint, p.seen_at
from (values (1)) one
left join vehicle v on v.plate = $1
left join enterprise e on e.id = v.enterprise
left join card c on c.id = $2
left join used cu on cu.plate = c.plate and cu.kind = 'card' and cu.id = c.id and cu.issue = c.issue_id
left join task n on n.code = c.task
left join lateral (
  select n.* where n.code is not null
  union all
  (select o.* from task o where n.code is null and o.plate = $1 and o.kind = 'PF' and o.state <> 'PUBLISHED'
   order by o.state = 'CALLED' desc limit 1)
) t on true
left join used tu on tu.plate = t.plate and tu.kind = 'task' and tu.id = t.code and tu.issue is not distinct from t.issue_id
left join presence p on p.plate = $1";

/// Of the same facts, a statement each: name, text, parameters ($1 plate or card).
const EACH: [(&str, &str, bool); 8] = [
    ("card", "select plate, type, status, valid_from, valid_to, task, issue_id from card where id = $1", true),
    (
        "vehicle",
        "select v.category, v.registration, v.registration_valid_to, v.documents_valid_to, v.plate_colour, v.body, v.presence, \
         v.enterprise, e.status from vehicle v left join enterprise e on e.id = v.enterprise where v.plate = $1",
        false,
    ),
    ("task", "select code, kind, state, cargo_in, cargo_out, window_from, window_to, issue_id from task where plate = $1", false),
    ("ban", "select kind, from_at, to_at from ban where plate = $1", false),
    ("inspection", "select 1 from inspection_order where plate = $1 and state = 'OPEN'", false),
    ("presence", "select inside, checkpoint, seen_at from presence where plate = $1", false),
    ("used", "select kind, id, state, issue from used where plate = $1", false),
    ("reservation", "select what, approach, until from reservation where plate = $1", false),
];

/// How the facts are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One statement that joins them.
    Joined,
    /// A statement for each, all in one round trip.
    Each,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Joined, Self::Each];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Joined => "one joined statement",
            Self::Each => "eight statements in one round trip",
        }
    }
}

/// The database of a registry of so many vehicles, from the cluster or made now; answers with a
/// connection to it, the statements prepared.
///
/// # Errors
/// What the server says.
pub fn open(socket: &std::path::Path, vehicles: u64) -> anyhow::Result<Client> {
    let name = format!("bench_{vehicles}");
    let made = format!("{EDITION}");
    let mut admin = Client::connect(socket, "postgres")?;
    let there =
        admin.run(&format!("select description from pg_shdescription join pg_database d on d.oid = objoid where datname = '{name}'"))?;
    if there.as_ref() != Some(&made) {
        admin.run(&format!("drop database if exists {name}"))?;
        admin.run(&format!("create database {name} template template0"))?;
        fill(&mut Client::connect(socket, &name)?, vehicles)?;
        admin.run(&format!("comment on database {name} is '{made}'"))?;
        admin.run("checkpoint")?;
    }
    let mut client = Client::connect(socket, &name)?;
    client.prepare("joined", JOINED)?;
    for (name, sql, _) in EACH {
        client.prepare(name, sql)?;
    }
    Ok(client)
}

fn fill(client: &mut Client, vehicles: u64) -> anyhow::Result<()> {
    client.run(&format!("begin;{TABLES}"))?;
    let all = || (0..vehicles).map(|n| Made::vehicle(n, vehicles));
    let carriers = (0..made::carriers(vehicles)).map(|n| {
        let (id, name, status) = made::carrier(n);
        format!("{id}\t{name}\t{status}")
    });
    let mut copy = |table: &str, lines: &mut dyn Iterator<Item = String>| client.copy(&format!("copy {table} from stdin (freeze)"), lines);
    copy("enterprise", &mut carriers.into_iter())?;
    copy(
        "vehicle",
        &mut all().map(|v| {
            let (registration, documents) = (v.registration(), v.documents_valid_to());
            format!("{}\t{}\t{registration}\tOUTSIDE\tyellow\tFREIGHT\t{}\t\\N\t{documents}\t31.5", v.plate, v.category, v.enterprise)
        }),
    )?;
    copy(
        "card",
        &mut all().map(|v| {
            let ((from, to), kind) = (v.card_days(), if v.single { "SINGLE" } else { "LONG" });
            let task = if v.single { v.task.as_str() } else { "\\N" };
            format!("{}\t{kind}\t{}\t{}\t{from}\t{to}\t{task}\t\\N\t{}", v.card, v.plate, v.card_status(), v.issue())
        }),
    )?;
    copy(
        "task",
        &mut all().map(|v| {
            format!(
                "{}\tPF\t{}\t{}\t\\N\t{}\t{DAY} 08:00+08\t{DAY} 20:00+08\t\\N\t墟沟作业区\t\\N\t\\N",
                v.task,
                v.plate,
                v.task_state(),
                v.cargo()
            )
        }),
    )?;
    copy("ban", &mut all().filter_map(|v| Some(format!("{}\t{}\tONE_YEAR\t{}\t{}", v.ban_id(), v.plate, v.ban_from(), v.ban_to()?))))?;
    copy("inspection_order", &mut all().filter_map(|v| Some(format!("{}\t{}\t{}\t海关", v.inspection_id(), v.plate, v.inspection()?))))?;
    copy("presence", &mut all().filter(Made::used).map(|v| format!("{}\t{}\t{}\t{}", v.plate, v.inside(), made::CHECKPOINT, v.seen_at())))?;
    copy(
        "used",
        &mut all().flat_map(|v| {
            let seen = v.seen_at();
            let lines = v.uses().into_iter().map(|(kind, id, state, issue)| {
                let mut line = String::new();
                let _ = write!(line, "{}\t{kind}\t{id}\t{state}\t{}\tP-JCZ-1.L2-{:08}\t{seen}", v.plate, issue.unwrap_or("\\N"), v.number);
                line
            });
            lines.collect::<Vec<_>>()
        }),
    )?;
    client.run("commit")?;
    client.run(INDEXES)?;
    for table in ["enterprise", "vehicle", "card", "task", "ban", "inspection_order", "presence", "used", "reservation"] {
        client.run(&format!("vacuum (analyze, freeze) {table}"))?;
    }
    Ok(())
}

/// Bytes of a database on the disk.
///
/// # Errors
/// What the server says.
pub fn bytes(client: &mut Client) -> anyhow::Result<f64> {
    let bytes = client.run("select pg_database_size(current_database())")?;
    Ok(bytes.and_then(|b| b.parse().ok()).unwrap_or(0.0))
}

/// A plate and a card to ask for, and whether nothing stands in the way.
pub struct Question {
    plate: String,
    card: String,
    in_order: bool,
}

impl Question {
    /// About a vehicle of a registry.
    pub fn about(number: u64, vehicles: u64) -> Self {
        let vehicle = Made::vehicle(number, vehicles);
        Self { in_order: vehicle.in_order(), plate: vehicle.plate, card: vehicle.card }
    }
}

/// Adds the check of one vehicle to what is sent next.
pub fn ask(client: &mut Client, way: Way, question: &Question) {
    match way {
        Way::Joined => client.execute("joined", &[&question.plate, &question.card, AT]),
        Way::Each => {
            for (name, _, by_card) in EACH {
                client.execute(name, &[if by_card { &question.card } else { &question.plate }]);
            }
        }
    }
    client.end_round();
}

/// Asks, and looks whether the facts answered are those of the vehicle: both ways must give what the
/// rules need, or nothing was compared.
///
/// # Errors
/// An answer that is not the expected one; what the server says.
pub fn verify(client: &mut Client, way: Way, question: &Question) -> anyhow::Result<()> {
    ask(client, way, question);
    client.send()?;
    let rows = client.rows()?;
    let fine = match way {
        Way::Joined => rows.first().is_some_and(|row| joined_in_order(row, &question.plate)),
        Way::Each => each_in_order(&rows, &question.plate),
    };
    ensure!(fine == question.in_order, "PostgreSQL's facts of {} are not those made: {rows:?}", question.plate);
    Ok(())
}

fn joined_in_order(row: &[Column], plate: &str) -> bool {
    let at = |column: usize| row.get(column).and_then(Option::as_deref);
    let registered = at(1) == Some("APPROVED") && at(3).is_some_and(|to| DAY <= to) && at(8) == Some("APPROVED");
    let card = at(9) == Some(plate) && at(11) == Some("ISSUED") && at(12) <= Some(DAY) && at(13).is_some_and(|to| DAY <= to);
    let task = at(18) == Some(plate) && at(19) == Some("CALLED") && at(24).is_none();
    let free = (25..29).all(|column| at(column) == Some("f")) && at(29) != Some("t");
    registered && card && at(16).is_none() && task && free
}

fn each_in_order(rows: &[Vec<Column>], plate: &str) -> bool {
    let at = |row: usize, column: usize| rows.get(row).and_then(|r| r.get(column)).and_then(Option::as_deref);
    let card = at(0, 0) == Some(plate) && at(0, 2) == Some("ISSUED") && at(0, 3) <= Some(DAY) && at(0, 4).is_some_and(|to| DAY <= to);
    let registered = at(1, 1) == Some("APPROVED") && at(1, 3).is_some_and(|to| DAY <= to) && at(1, 8) == Some("APPROVED");
    let task = at(2, 2) == Some("CALLED");
    let mut banned = false;
    let mut inside = false;
    let mut ordered = false;
    for row in rows.get(3..).unwrap_or_default() {
        let at = |column: usize| row.get(column).and_then(Option::as_deref);
        banned |= at(0) == Some("ONE_YEAR") && at(2).is_none_or(|to| DAY < to);
        ordered |= at(0) == Some("1");
        inside |= at(0) == Some("t");
    }
    card && registered && task && !banned && !ordered && !inside
}

/// Processor time that the server's process has used for this connection.
pub fn server_cpu(client: &Client) -> Option<std::time::Duration> {
    machine::process_cpu(client.pid)
}
