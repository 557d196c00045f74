//! The same check on PostgreSQL: one connection over its local socket, prepared statements, no library
//! in between, so that nothing but PostgreSQL and the socket is in the way.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{bail, ensure, Context as _};

/// One column of an answer.
pub type Column = Option<String>;

/// A connection.
pub struct Client {
    to: UnixStream,
    from: BufReader<UnixStream>,
    /// The process that serves it.
    pub pid: i32,
    out: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    /// Connects to `database` through the socket in the folder `socket`.
    ///
    /// # Errors
    /// No server there, or what it says.
    pub fn connect(socket: &Path, database: &str) -> anyhow::Result<Self> {
        let path = socket.join(".s.PGSQL.5432");
        let to = UnixStream::connect(&path).with_context(|| format!("connecting to PostgreSQL at {}", path.display()))?;
        let from = BufReader::with_capacity(64 << 10, to.try_clone()?);
        let mut client = Self { to, from, pid: 0, out: Vec::new(), body: Vec::new() };
        let mut hello = 196_608_i32.to_be_bytes().to_vec();
        for text in ["user", "bench", "database", database, ""] {
            hello.extend_from_slice(text.as_bytes());
            hello.push(0);
        }
        let length = i32::try_from(hello.len() + 4)?;
        client.to.write_all(&[&length.to_be_bytes()[..], &hello].concat())?;
        client.wait(1, |_| ())?;
        Ok(client)
    }

    /// Runs statements; answers with the first column of the last row.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&mut self, sql: &str) -> anyhow::Result<Column> {
        self.message(b'Q', |out| text(out, sql));
        self.send()?;
        let mut last = None;
        self.wait(1, |row| last = row.into_iter().next().flatten())?;
        Ok(last)
    }

    /// Prepares a statement under a name.
    ///
    /// # Errors
    /// What the server says.
    pub fn prepare(&mut self, name: &str, sql: &str) -> anyhow::Result<()> {
        self.message(b'P', |out| {
            text(out, name);
            text(out, sql);
            out.extend_from_slice(&[0, 0]);
        });
        self.message(b'S', |_| ());
        self.send()?;
        self.wait(1, |_| ())
    }

    /// Adds the execution of a prepared statement to what is sent next.
    pub fn execute(&mut self, name: &str, parameters: &[&str]) {
        self.message(b'B', |out| {
            out.push(0);
            text(out, name);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&u16::try_from(parameters.len()).unwrap_or(0).to_be_bytes());
            for parameter in parameters {
                out.extend_from_slice(&u32::try_from(parameter.len()).unwrap_or(0).to_be_bytes());
                out.extend_from_slice(parameter.as_bytes());
            }
            out.extend_from_slice(&[0, 0]);
        });
        self.message(b'E', |out| out.extend_from_slice(&[0, 0, 0, 0, 0]));
    }

    /// Ends a round of executions: the server answers when it has done them.
    pub fn end_round(&mut self) {
        self.message(b'S', |_| ());
    }

    /// Sends what was added.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self) -> anyhow::Result<()> {
        self.to.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Takes in the answers to so many rounds and counts their rows.
    ///
    /// # Errors
    /// What the server says.
    pub fn answers(&mut self, rounds: usize) -> anyhow::Result<usize> {
        let mut rows = 0;
        self.messages(rounds, |kind, _| rows += usize::from(kind == b'D'))?;
        Ok(rows)
    }

    /// Takes in the answers to a round with their columns.
    ///
    /// # Errors
    /// What the server says.
    pub fn rows(&mut self) -> anyhow::Result<Vec<Vec<Column>>> {
        let mut rows = Vec::new();
        self.wait(1, |row| rows.push(row))?;
        Ok(rows)
    }

    /// Copies lines into a table: `statement` is a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// What the server says.
    pub fn copy(&mut self, statement: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
        self.message(b'Q', |out| text(out, statement));
        let mut chunk = String::new();
        for line in lines {
            chunk.push_str(&line);
            chunk.push('\n');
            if chunk.len() > 256 << 10 {
                self.message(b'd', |out| out.extend_from_slice(chunk.as_bytes()));
                self.send()?;
                chunk.clear();
            }
        }
        self.message(b'd', |out| out.extend_from_slice(chunk.as_bytes()));
        self.message(b'c', |_| ());
        self.send()?;
        self.wait(1, |_| ())
    }

    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(kind);
        let at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        body(&mut self.out);
        let length = u32::try_from(self.out.len() - at).unwrap_or(u32::MAX).to_be_bytes();
        self.out[at..at + 4].copy_from_slice(&length);
    }

    fn wait(&mut self, rounds: usize, mut row: impl FnMut(Vec<Column>)) -> anyhow::Result<()> {
        let mut damaged = false;
        self.messages(rounds, |kind, body| {
            if kind == b'D' {
                match columns(body) {
                    Some(columns) => row(columns),
                    None => damaged = true,
                }
            }
        })?;
        ensure!(!damaged, "PostgreSQL sent a row that cannot be read");
        Ok(())
    }

    /// Hands out messages until the server has been ready so many times.
    fn messages(&mut self, rounds: usize, mut each: impl FnMut(u8, &[u8])) -> anyhow::Result<()> {
        let (mut ready, mut fault) = (0, None);
        while ready < rounds {
            let mut head = [0; 5];
            self.from.read_exact(&mut head).context("PostgreSQL has closed the connection")?;
            let [kind, a, b, c, d] = head;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d]))?.saturating_sub(4);
            self.body.resize(length, 0);
            self.from.read_exact(&mut self.body)?;
            match kind {
                b'Z' => ready += 1,
                b'E' => fault = Some(String::from_utf8_lossy(&self.body).replace('\0', " ")),
                b'K' => self.pid = self.body.first_chunk().map_or(0, |pid| i32::from_be_bytes(*pid)),
                b'R' if self.body != [0; 4] => bail!("PostgreSQL asks for a password"),
                _ => each(kind, &self.body),
            }
        }
        match fault {
            Some(fault) => bail!("PostgreSQL: {fault}"),
            None => Ok(()),
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn columns(row: &[u8]) -> Option<Vec<Column>> {
    let (count, mut rest) = row.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        columns.push(match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
        });
    }
    Some(columns)
}
