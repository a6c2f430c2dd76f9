//! What a server that takes another's place gets from it: the listeners, and the word of when their names are its own.
//!
//! Owns this end of the conversation. Invariant: a server that will not come up says why, so that the old one can tell whoever asked for it.

use config::world::plain;
use config::{Address, Mistake};
use control::Channel;
use control::heir::{Asked, FromHeir, ToHeir, VARIABLE};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The old one, as the new one hears it.
pub struct Predecessor {
    channel: Channel,
    /// It serves until it says otherwise.
    serving: bool,
}

/// What it leaves.
#[derive(Default)]
pub struct Estate {
    /// Taken out by whoever uses them.
    listeners: Vec<Inherited>,
    /// Where its control socket stands.
    pub control: PathBuf,
}

pub struct Inherited {
    pub asked: Asked,
    pub address: Address,
    pub sockets: Vec<OwnedFd>,
}

/// What the old one has said.
pub enum News {
    TakeOver,
    /// It has ended, or might as well have.
    Gone,
}

impl Predecessor {
    /// `None`: this server was not started by another one.
    pub fn find() -> Option<Predecessor> {
        let number = std::env::var(VARIABLE).ok()?.parse().ok()?;
        let socket = sys::process::inherited(number).ok()?;
        Some(Predecessor {
            channel: Channel::from_fd(socket),
            serving: true,
        })
    }

    /// Everything that it sends before anything else; it is waiting there already, or the old one has gone.
    pub fn estate(&self) -> Result<Estate, Mistake> {
        let mistake =
            |what: &str| Mistake(format!("nothing is taken over from the old one: {what}"));
        let mut estate = Estate::default();
        loop {
            match self.channel.recv::<ToHeir>() {
                Ok(Some((ToHeir::Listener { asked, address }, sockets))) => {
                    estate.listeners.push(Inherited {
                        asked,
                        address,
                        sockets,
                    });
                }
                Ok(Some((ToHeir::House { control }, _))) => {
                    estate.control = control;
                    break;
                }
                Ok(Some((ToHeir::TakeOver, _))) => return Err(mistake("it is ending")),
                Ok(None) => return Err(mistake("it has ended")),
                Err(error) => return Err(mistake(&plain(&error))),
            }
        }
        self.channel
            .set_nonblocking(true)
            .map_err(|error| mistake(&plain(&error)))?;
        Ok(estate)
    }

    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// What it says, if anything.
    pub fn listen(&mut self) -> Option<News> {
        let news = match self.channel.recv::<ToHeir>() {
            Ok(Some((ToHeir::TakeOver, _))) => News::TakeOver,
            // Words of a later version.
            Ok(Some(_)) => return None,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return None,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Ok(None) | Err(_) => News::Gone,
        };
        self.serving = false;
        Some(news)
    }

    pub fn say(&self, message: &FromHeir) {
        // If it has gone, that is news of its own.
        drop(self.channel.send(message, &[]));
    }
}

impl AsFd for Predecessor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Estate {
    /// The listener of that name; else the one at that address, if it is named otherwise.
    pub fn take(&mut self, asked: &Asked) -> Option<Inherited> {
        let named = |each: &Inherited| each.asked == *asked;
        let there = |each: &Inherited| Asked::Address(each.address.clone()) == *asked;
        let position = |fits: &dyn Fn(&Inherited) -> bool| {
            let mut listeners = self.listeners.iter();
            listeners.position(fits)
        };
        let at = position(&named).or_else(|| position(&there))?;
        Some(self.listeners.swap_remove(at))
    }
}

/// Whether another server started this one to take its place.
pub fn is_heir() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// For a server that ends before it has read its configuration: tells the old one, if there is one, why.
pub fn tell_of(mistake: &Mistake) {
    if let Some(predecessor) = Predecessor::find() {
        let message = control::message::clip(&mistake.0);
        predecessor.say(&FromHeir::Failed { message });
    }
}
