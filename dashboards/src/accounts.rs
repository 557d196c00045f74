//! Accounts: who may call, in which role, and how they prove it.
//!
//! `DIR/accounts.json` keeps them (mode 0600, written whole and renamed). A person's password is
//! hashed with argon2; an API token is a random secret, of which SHA-256 is enough and cheap to
//! check on every call. With `--demo` one account per role exists besides, whose secrets lie in
//! `DIR/demo-credentials` and nowhere else: without `--demo` they do not work.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::Argon2;
use parking_lot::{Mutex, RwLock};
use portgate_core::people::{Principal, Role};
use portgate_core::violation::Body;
use rand::rngs::OsRng;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::AccountError;
use crate::lockout::Lockout;
use crate::telemetry;

/// File of the accounts inside the data folder.
pub const ACCOUNTS_FILE: &str = "accounts.json";
/// File of the demonstration's secrets inside the data folder.
pub const DEMO_FILE: &str = "demo-credentials";
/// Characters a new password needs at least.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Secrets longer than this are refused unread.
const SECRET_BYTES_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    /// PHC string of a person's password.
    Argon2(String),
    /// Hex SHA-256 of a random token.
    Sha256(String),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    name: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Body>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checkpoints: Vec<String>,
    secret: Stored,
    /// The password must be replaced when it is first used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    one_time: bool,
    #[serde(skip)]
    demo: bool,
}

impl Account {
    fn principal(&self) -> Principal {
        Principal { name: self.name.clone(), role: self.role, lanes: self.lanes.clone() }
    }

    fn bounds(&self) -> Bounds {
        Bounds { body: self.body, checkpoints: self.checkpoints.clone() }
    }

    /// Without bounds; the secret is to be used as it is.
    fn plain(name: &str, role: Role, secret: Stored) -> Self {
        let name = name.to_owned();
        Self { name, role, lanes: Vec::new(), body: None, checkpoints: Vec::new(), secret, one_time: false, demo: false }
    }
}

/// Where a person acts, and for whom. It bounds what is written, not what is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The body the person belongs to and rules for; none: any that the role speaks for.
    pub body: Option<Body>,
    /// Only at these checkpoints; empty: every one.
    pub checkpoints: Vec<String>,
}

impl Bounds {
    /// Whether the person acts at the checkpoint.
    pub fn admits(&self, checkpoint: &str) -> bool {
        self.checkpoints.is_empty() || self.checkpoints.iter().any(|c| c == checkpoint)
    }
}

/// An account to be made or replaced.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Role.
    pub role: Role,
    /// Lanes a device may post for; empty: all.
    #[serde(default)]
    pub lanes: Vec<String>,
    /// The body the person belongs to.
    #[serde(default)]
    pub body: Option<Body>,
    /// Only at these checkpoints; empty: every one.
    #[serde(default)]
    pub checkpoints: Vec<String>,
    /// A person's password; without it a token is made.
    #[serde(default)]
    pub password: Option<String>,
    /// The password must be replaced when it is first used.
    #[serde(default)]
    pub one_time: bool,
    /// Leave the secret as it is: only the rest changes.
    #[serde(default)]
    pub keep_secret: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountsFile {
    format: u32,
    accounts: Vec<Account>,
}

#[derive(Default)]
struct Inner {
    accounts: BTreeMap<String, Account>,
    tokens: HashMap<[u8; 32], String>,
}

impl Inner {
    fn index(&mut self) {
        self.tokens = self
            .accounts
            .values()
            .filter_map(|a| match &a.secret {
                Stored::Sha256(hash) => Some((unhex(hash)?, a.name.clone())),
                Stored::Argon2(_) => None,
            })
            .collect();
    }
}

/// What an administrator sees of an account.
#[derive(Clone, Debug, Serialize)]
pub struct AccountView {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Lanes a device may post for; empty: all.
    pub lanes: Vec<String>,
    /// The body the person belongs to.
    pub body: Option<Body>,
    /// Checkpoints at which the person acts; empty: every one.
    pub checkpoints: Vec<String>,
    /// Signs in with a password (false: an API token).
    pub password: bool,
    /// Must choose a password yet.
    pub one_time: bool,
    /// Of the demonstration.
    pub demo: bool,
}

/// The password an administrator is given at the first start; to be shown once.
#[derive(Clone)]
pub struct OneTimePassword {
    /// Account it belongs to.
    pub name: String,
    /// The password.
    pub secret: String,
}

/// Why a sign-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// Name or secret are wrong.
    Wrong,
    /// Right, but the one-time password must be replaced in the same call.
    NewPasswordNeeded,
    /// The new password is too short or the same.
    NewPasswordWeak,
    /// Too many failures: wait.
    Locked {
        /// Seconds.
        retry_after_s: u64,
    },
}

/// The accounts of a gate. Shared by the HTTP server and the SQL server.
pub struct Accounts {
    path: PathBuf,
    inner: RwLock<Inner>,
    /// Serialises changes, so that the file follows the order of memory.
    changing: Mutex<()>,
    by_pair: Lockout<(IpAddr, String)>,
    by_client: Lockout<IpAddr>,
    by_name: Lockout<String>,
    /// Verified for unknown names, so that they take as long as known ones.
    decoy: String,
}

impl Accounts {
    /// Opens (or begins) the accounts of the data folder.
    ///
    /// With `demo` the demonstration's accounts are read from, or written to, [`DEMO_FILE`].
    /// Without it, and without any administrator on file, one is made and its one-time password
    /// returned; it is stored nowhere in clear.
    ///
    /// # Errors
    /// The folder or a file can't be read or written, or does not parse.
    pub fn open(dir: &Path, demo: bool) -> Result<(Self, Option<OneTimePassword>), AccountError> {
        let path = dir.join(ACCOUNTS_FILE);
        let mut inner = Inner::default();
        for account in read_accounts(&path)? {
            inner.accounts.insert(account.name.clone(), account);
        }
        if demo {
            for (name, secret) in demo_secrets(&dir.join(DEMO_FILE))? {
                let role = Role::ALL.into_iter().find(|r| r.as_str() == name);
                let Some(role) = role else { continue };
                let secret = Stored::Sha256(hex::encode(sha256(&secret)));
                let account = Account { demo: true, ..Account::plain(&name, role, secret) };
                inner.accounts.insert(name, account);
            }
        }
        inner.index();
        let accounts = Self {
            path,
            inner: RwLock::new(inner),
            changing: Mutex::new(()),
            by_pair: Lockout::new(5, Duration::from_secs(1), Duration::from_secs(900)),
            by_client: Lockout::new(50, Duration::from_secs(1), Duration::from_secs(300)),
            by_name: Lockout::new(50, Duration::from_secs(1), Duration::from_secs(60)),
            decoy: hash_password(&random_secret()?)?,
        };
        let has_administrator = accounts.inner.read().accounts.values().any(|a| a.role == Role::Administrator);
        if has_administrator {
            return Ok((accounts, None));
        }
        let one_time = OneTimePassword { name: Role::Administrator.as_str().to_owned(), secret: random_secret()? };
        let secret = Stored::Argon2(hash_password(&one_time.secret)?);
        accounts.change(|all| {
            let account = Account { one_time: true, ..Account::plain(&one_time.name, Role::Administrator, secret) };
            all.insert(account.name.clone(), account);
            Ok(())
        })?;
        Ok((accounts, Some(one_time)))
    }

    /// Who the secret belongs to: an API token without a name, or a name with its token or
    /// password. A one-time password authenticates nobody. Takes tens of milliseconds for a
    /// password (argon2): not for an async task. Does not count failures; see [`Self::sign_in`].
    pub fn authenticate(&self, name: Option<&str>, secret: &str) -> Option<Principal> {
        match name {
            None => self.by_token(secret),
            Some(name) => self.check(name, secret).filter(|a| !a.one_time).map(|a| a.principal()),
        }
    }

    /// As [`Self::authenticate`] with a name, slowed down for a client (or a name) with many
    /// failures. `new_secret` replaces the password after the old one has been checked.
    ///
    /// # Errors
    /// [`SignInError`].
    pub fn sign_in(&self, client: IpAddr, name: &str, secret: &str, new_secret: Option<&str>) -> Result<Principal, SignInError> {
        let now = Instant::now();
        let pair = (client, name.chars().take(NAME_CHARS_MAX).collect::<String>());
        let wait = [self.by_pair.wait(&pair, now), self.by_client.wait(&client, now), self.by_name.wait(&pair.1, now)];
        if let Some(wait) = wait.into_iter().flatten().max() {
            metrics::counter!(telemetry::SIGN_IN_FAILURES_TOTAL, "kind" => "locked").increment(1);
            return Err(SignInError::Locked { retry_after_s: wait.as_secs().max(1) });
        }
        let Some(account) = self.check(name, secret) else {
            self.by_pair.failed(&pair, now);
            self.by_client.failed(&client, now);
            self.by_name.failed(&pair.1, now);
            metrics::counter!(telemetry::SIGN_IN_FAILURES_TOTAL, "kind" => "wrong").increment(1);
            tracing::info!(%client, "sign-in refused");
            return Err(SignInError::Wrong);
        };
        self.by_pair.succeeded(&pair);
        match new_secret {
            None if account.one_time => return Err(SignInError::NewPasswordNeeded),
            None => {}
            Some(new) if new == secret => return Err(SignInError::NewPasswordWeak),
            Some(new) => self.set_password(name, new).map_err(|_| SignInError::NewPasswordWeak)?,
        }
        Ok(account.principal())
    }

    /// The account as it is now; what a session stands for.
    pub fn principal(&self, name: &str) -> Option<Principal> {
        self.inner.read().accounts.get(name).filter(|a| !a.one_time).map(Account::principal)
    }

    /// Where and for whom the account acts.
    pub fn bounds(&self, name: &str) -> Bounds {
        self.inner.read().accounts.get(name).map(Account::bounds).unwrap_or_default()
    }

    /// All accounts, by name.
    pub fn list(&self) -> Vec<AccountView> {
        let inner = self.inner.read();
        let view = |a: &Account| AccountView {
            name: a.name.clone(),
            role: a.role,
            lanes: a.lanes.clone(),
            body: a.body,
            checkpoints: a.checkpoints.clone(),
            one_time: a.one_time,
            password: matches!(a.secret, Stored::Argon2(_)),
            demo: a.demo,
        };
        inner.accounts.values().map(view).collect()
    }

    /// Makes or replaces an account. With a password it is a person's; without one a token is
    /// made and returned, the only time it can be seen.
    ///
    /// # Errors
    /// The name, the password or the body is not allowed, the name is the demonstration's, the last
    /// administrator would go, or the file can't be written.
    pub fn put(&self, name: &str, new: NewAccount) -> Result<Option<String>, AccountError> {
        let lawful = !name.is_empty()
            && name.chars().count() <= NAME_CHARS_MAX
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if !lawful {
            return Err(AccountError::Refused("an account name has 1 to 64 letters, digits, dots, dashes or underscores".into()));
        }
        if let Some(body) = new.body.filter(|b| !b.is_spoken_for_by(new.role)) {
            return Err(AccountError::Refused(format!("the role {} does not speak for {}", new.role.as_str(), body.as_str())));
        }
        let (fresh, token) = match (&new.password, new.keep_secret) {
            (Some(_), true) => return Err(AccountError::Refused("`keep_secret` goes without a password".into())),
            (None, true) => (None, None),
            (Some(password), false) => (Some(Stored::Argon2(checked_hash(password)?)), None),
            (None, false) => {
                let token = random_secret()?;
                (Some(Stored::Sha256(hex::encode(sha256(&token)))), Some(token))
            }
        };
        self.change(|all| {
            let known = all.get(name);
            if known.is_some_and(|a| a.demo) {
                return Err(AccountError::Refused(format!("{name:?} belongs to the demonstration")));
            }
            let (secret, one_time) = match (fresh, known) {
                (Some(secret), _) => (secret, new.one_time && new.password.is_some()),
                (None, Some(known)) => (known.secret.clone(), known.one_time),
                (None, None) => return Err(AccountError::Unknown(name.to_owned())),
            };
            let NewAccount { role, lanes, body, checkpoints, .. } = new;
            let account = Account { name: name.to_owned(), role, lanes, body, checkpoints, secret, one_time, demo: false };
            all.insert(name.to_owned(), account);
            keeps_administrator(all)
        })?;
        Ok(token)
    }

    /// Removes an account; its sessions and tokens end at once.
    ///
    /// # Errors
    /// No such account, the demonstration's, the last administrator, or the file can't be written.
    pub fn remove(&self, name: &str) -> Result<(), AccountError> {
        self.change(|all| match all.get(name) {
            None => Err(AccountError::Unknown(name.to_owned())),
            Some(a) if a.demo => Err(AccountError::Refused(format!("{name:?} belongs to the demonstration"))),
            Some(_) => {
                all.remove(name);
                keeps_administrator(all)
            }
        })
    }

    fn set_password(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let secret = Stored::Argon2(checked_hash(password)?);
        self.change(|all| match all.get_mut(name) {
            Some(a) if !a.demo => {
                a.secret = secret;
                a.one_time = false;
                Ok(())
            }
            Some(_) => Err(AccountError::Refused(format!("{name:?} belongs to the demonstration"))),
            None => Err(AccountError::Unknown(name.to_owned())),
        })
    }

    fn by_token(&self, secret: &str) -> Option<Principal> {
        if secret.len() > SECRET_BYTES_MAX {
            return None;
        }
        let inner = self.inner.read();
        let name = inner.tokens.get(&sha256(secret))?;
        inner.accounts.get(name).filter(|a| !a.one_time).map(Account::principal)
    }

    fn check(&self, name: &str, secret: &str) -> Option<Account> {
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return None;
        }
        let account = self.inner.read().accounts.get(name).cloned();
        match account {
            None => {
                verify_password(&self.decoy, secret);
                None
            }
            Some(account) => {
                let right = match &account.secret {
                    Stored::Argon2(phc) => verify_password(phc, secret),
                    Stored::Sha256(hash) => unhex(hash).is_some_and(|h| bool::from(h.ct_eq(&sha256(secret)))),
                };
                right.then_some(account)
            }
        }
    }

    /// Applies a change to a copy, writes the copy, and only then lets it take effect.
    fn change(&self, f: impl FnOnce(&mut BTreeMap<String, Account>) -> Result<(), AccountError>) -> Result<(), AccountError> {
        let _one_at_a_time = self.changing.lock();
        let mut all = self.inner.read().accounts.clone();
        f(&mut all)?;
        let file = AccountsFile { format: 1, accounts: all.values().filter(|a| !a.demo).cloned().collect() };
        let text = serde_json::to_vec_pretty(&file).map_err(|e| AccountError::Damaged { path: self.path.clone(), why: e.to_string() })?;
        write_private(&self.path, &text)?;
        let mut inner = self.inner.write();
        inner.accounts = all;
        inner.index();
        Ok(())
    }
}

fn keeps_administrator(all: &BTreeMap<String, Account>) -> Result<(), AccountError> {
    if all.values().any(|a| a.role == Role::Administrator) {
        Ok(())
    } else {
        Err(AccountError::Refused("this is the last administrator; make another one first".into()))
    }
}

fn checked_hash(password: &str) -> Result<String, AccountError> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > SECRET_BYTES_MAX {
        return Err(AccountError::Hash(format!(
            "a password has {PASSWORD_CHARS_MIN} characters or more, and at most {SECRET_BYTES_MAX} bytes"
        )));
    }
    hash_password(password)
}

fn hash_password(password: &str) -> Result<String, AccountError> {
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(|e| AccountError::Hash(e.to_string()))?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|h| h.to_string()).map_err(|e| AccountError::Hash(e.to_string()))
}

fn verify_password(phc: &str, password: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok())
}

/// SHA-256 of a secret.
pub(crate) fn sha256(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn random<const N: usize>() -> Result<[u8; N], AccountError> {
    let mut bytes = [0u8; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| AccountError::Random(e.to_string()))?;
    Ok(bytes)
}

/// 160 random bits, hex.
pub(crate) fn random_secret() -> Result<String, AccountError> {
    random::<20>().map(hex::encode)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn read_accounts(path: &Path) -> Result<Vec<Account>, AccountError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(AccountError::File { path: path.to_owned(), source }),
    };
    let file: AccountsFile =
        serde_json::from_slice(&text).map_err(|e| AccountError::Damaged { path: path.to_owned(), why: e.to_string() })?;
    if file.format != 1 {
        return Err(AccountError::Damaged { path: path.to_owned(), why: format!("format {} is not known here", file.format) });
    }
    Ok(file.accounts)
}

/// Reads the demonstration's secrets; makes those that are missing.
fn demo_secrets(path: &Path) -> Result<BTreeMap<String, String>, AccountError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(AccountError::File { path: path.to_owned(), source }),
    };
    let mut found: BTreeMap<String, String> =
        text.lines().filter_map(|l| l.split_once(' ')).map(|(n, s)| (n.to_owned(), s.trim().to_owned())).collect();
    found.retain(|_, secret| secret.len() >= 32);
    let complete = Role::ALL.iter().all(|r| found.contains_key(r.as_str()));
    if !complete {
        let mut lines = String::new();
        for role in Role::ALL {
            let fresh = random_secret()?;
            let secret = found.entry(role.as_str().to_owned()).or_insert(fresh);
            lines.push_str(&format!("{} {}\n", role.as_str(), secret));
        }
        write_private(path, lines.as_bytes())?;
    }
    Ok(found)
}

/// Writes a file only its owner may read: whole, synced, then renamed.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), AccountError> {
    let fail = |source| AccountError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(fail)?;
    }
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&part).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&part, path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn the_demonstration_has_one_account_per_role_and_only_with_demo() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, one_time) = Accounts::open(dir.path(), true).unwrap();
        assert!(one_time.is_none());
        let text = fs::read_to_string(dir.path().join(DEMO_FILE)).unwrap();
        assert_eq!(text.lines().count(), 8);
        for line in text.lines() {
            let (name, secret) = line.split_once(' ').unwrap();
            let who = accounts.authenticate(None, secret).unwrap();
            assert_eq!((who.name.as_str(), who.role.as_str()), (name, name));
            assert!(accounts.authenticate(Some(name), secret).is_some());
            assert!(accounts.authenticate(Some(name), "wrong").is_none());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(DEMO_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = Accounts::open(dir.path(), true).unwrap().0;
        let guard = text.lines().find_map(|l| l.strip_prefix("guard ")).unwrap();
        assert!(again.authenticate(None, guard).is_some(), "secrets stay the same over a restart");
        let (without, one_time) = Accounts::open(dir.path(), false).unwrap();
        assert!(without.authenticate(None, guard).is_none());
        assert!(one_time.is_some());
    }

    #[test]
    fn the_first_administrator_must_choose_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, one_time) = Accounts::open(dir.path(), false).unwrap();
        let OneTimePassword { name, secret } = one_time.unwrap();
        assert!(accounts.authenticate(Some(&name), &secret).is_none());
        assert_eq!(accounts.sign_in(HERE, &name, &secret, None), Err(SignInError::NewPasswordNeeded));
        assert_eq!(accounts.sign_in(HERE, &name, &secret, Some("short")), Err(SignInError::NewPasswordWeak));
        assert!(accounts.sign_in(HERE, &name, &secret, Some("a much better one")).is_ok());
        assert_eq!(accounts.sign_in(HERE, &name, &secret, None), Err(SignInError::Wrong));
        let (accounts, one_time) = Accounts::open(dir.path(), false).unwrap();
        assert!(one_time.is_none(), "only the first start gives one");
        assert!(accounts.authenticate(Some(&name), "a much better one").is_some());
        let file = fs::read_to_string(dir.path().join(ACCOUNTS_FILE)).unwrap();
        assert!(!file.contains("better"));
    }

    #[test]
    fn guessing_is_slowed_down_and_does_not_shut_out_others() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, _) = Accounts::open(dir.path(), true).unwrap();
        let mut locked = 0;
        for i in 0..20 {
            if matches!(accounts.sign_in(HERE, "guard", &format!("guess {i}"), None), Err(SignInError::Locked { .. })) {
                locked += 1;
            }
        }
        assert!(locked >= 14, "only {locked} of 20 were locked out");
        let text = fs::read_to_string(dir.path().join(DEMO_FILE)).unwrap();
        let secret = |n: &str| text.lines().find_map(|l| l.strip_prefix(&format!("{n} ")).map(str::to_owned)).unwrap();
        assert!(matches!(accounts.sign_in(HERE, "guard", &secret("guard"), None), Err(SignInError::Locked { .. })));
        assert!(accounts.sign_in(HERE, "supervisor", &secret("supervisor"), None).is_ok());
        let elsewhere = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
        assert!(accounts.sign_in(elsewhere, "guard", &secret("guard"), None).is_ok());
    }

    #[test]
    fn accounts_can_be_made_and_removed_but_not_the_last_administrator() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, one_time) = Accounts::open(dir.path(), false).unwrap();
        let admin = one_time.unwrap().name;
        let new = |role, password: Option<&str>| NewAccount {
            role,
            lanes: Vec::new(),
            body: None,
            checkpoints: Vec::new(),
            password: password.map(str::to_owned),
            one_time: false,
            keep_secret: false,
        };
        let camera = NewAccount { lanes: vec!["JCZ-1.L1".into()], ..new(Role::Device, None) };
        let token = accounts.put("cam-1", camera).unwrap().unwrap();
        let who = accounts.authenticate(None, &token).unwrap();
        assert!(who.may_post_for("JCZ-1.L1") && !who.may_post_for("JCZ-1.L2"));
        assert!(accounts.put("wang", new(Role::Guard, Some("short"))).is_err());
        assert!(accounts.put("bad name", new(Role::Guard, None)).is_err());
        assert!(accounts.put("wang", new(Role::Guard, Some("long enough password"))).unwrap().is_none());
        assert!(accounts.authenticate(Some("wang"), "long enough password").is_some());
        // Another role and bounds, the same password; a body only where the role speaks for it.
        let moved = NewAccount { keep_secret: true, checkpoints: vec!["JCZ-2".into()], ..new(Role::Security, None) };
        assert!(accounts.put("nobody", moved.clone()).is_err());
        assert!(accounts.put("wang", NewAccount { body: Some(Body::Customs), ..moved.clone() }).is_err());
        assert!(accounts.put("wang", NewAccount { body: Some(Body::PortPolice), ..moved }).unwrap().is_none());
        let (again, _) = Accounts::open(dir.path(), false).unwrap();
        assert_eq!(again.authenticate(Some("wang"), "long enough password").unwrap().role, Role::Security);
        let bounds = again.bounds("wang");
        assert!(bounds.body == Some(Body::PortPolice) && bounds.admits("JCZ-2") && !bounds.admits("JCZ-1"));
        assert!(again.bounds("cam-1").admits("JCZ-1"), "without bounds everywhere");
        let one_time = NewAccount { one_time: true, ..new(Role::Guard, Some("for the first time")) };
        accounts.put("zhao", one_time).unwrap();
        assert_eq!(accounts.sign_in(HERE, "zhao", "for the first time", None), Err(SignInError::NewPasswordNeeded));
        accounts.remove("cam-1").unwrap();
        assert!(accounts.authenticate(None, &token).is_none());
        assert!(matches!(accounts.remove(&admin), Err(AccountError::Refused(_))));
        assert!(matches!(accounts.remove("nobody"), Err(AccountError::Unknown(_))));
    }
}
