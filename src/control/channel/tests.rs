//! The channel and every kind of message, there and back.

use super::*;
use crate::message::*;
use config::{Address, AppOptions, Config, Interface, Kind};
use std::fmt::Debug;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: T) {
    let (a, b) = Channel::pair().expect("pair");
    a.send(&message, &[]).expect("send");
    let (received, descriptors) = b.recv::<T>().expect("recv").expect("message");
    assert_eq!(received, message);
    assert!(descriptors.is_empty());
}

#[test]
fn messages_to_the_edge_survive_the_way() {
    let mut config = Config::bare();
    config
        .binds
        .push(Address::Tcp("[::1]:8000".parse().expect("address")));
    config.binds.push(Address::Unix("/run/shop.sock".into()));
    round_trip(ToEdge::Start {
        config: Box::new(config),
        epoch: 3,
    });
    round_trip(ToEdge::Listener {
        address: Address::Unix("/x".into()),
    });
    round_trip(ToEdge::App {
        app: 0,
        name: "shop".into(),
    });
    round_trip(ToEdge::Worker {
        app: 0,
        index: 3,
        generation: 1,
    });
    round_trip(ToEdge::WorkerUp {
        app: 0,
        index: 3,
        incarnation: 2,
        generation: 1,
        pid: 77,
        kind: Kind::Processes,
        interface: Interface::Asgi,
        up_ms: 5,
    });
    round_trip(ToEdge::WorkerGone {
        app: 0,
        index: 3,
        incarnation: 2,
        reason: "killed".into(),
    });
    round_trip(ToEdge::AppState {
        app: 0,
        state: AppState::Backoff,
        message: "again in 4 s".into(),
    });
    round_trip(ToEdge::HostLog {
        app: 0,
        generation: 1,
    });
    round_trip(ToEdge::Processes {
        document: serde_json::json!({"supervisor": 1}),
    });
    for message in [
        ToEdge::Go,
        ToEdge::ReopenLogs,
        ToEdge::Drain {
            grace_ms: 5,
            patience: Patience {
                rest_ms: 1,
                sockets_ms: 2,
            },
        },
        ToEdge::Quit,
    ] {
        round_trip(message);
    }
    round_trip(ToEdge::CommandDone {
        id: 9,
        ok: true,
        message: String::new(),
    });
}

#[test]
fn messages_of_the_hosts_survive_the_way() {
    let spec = HostSpec {
        app: 0,
        name: "shop".into(),
        target: "shop.wsgi:application".into(),
        mount: String::new(),
        options: AppOptions::default(),
        chdir: "/srv".into(),
        pythonpath: vec!["/srv/lib".into()],
        env: vec![("A".into(), "b".into())],
        kind: Kind::Interpreters,
        probe: false,
        successor: true,
        beside: true,
        first: false,
        generation: 1,
        workers: vec![WorkerSpec {
            index: 0,
            incarnation: 1,
        }],
        rings: 2,
        timeout_ms: 30_000,
        multithread: false,
        server_software: "ringgate/0".into(),
        log_prefix: "shop[1]".into(),
    };
    round_trip(ToHost::Start {
        spec: Box::new(spec),
    });
    for message in [
        ToHost::Descriptors {},
        ToHost::Open,
        ToHost::Drain,
        ToHost::Quit,
        ToHost::Replace { index: 4 },
        ToHost::Grow {
            workers: vec![WorkerSpec {
                index: 9,
                incarnation: 2,
            }],
        },
        ToHost::Retire { index: 4 },
    ] {
        round_trip(message);
    }
    for verdict in [
        ProbeVerdict::Interpreters,
        ProbeVerdict::Degraded {
            modules: vec!["yarl".into()],
        },
        ProbeVerdict::Refused {
            module: "numpy".into(),
            message: "no".into(),
        },
        ProbeVerdict::Failed {
            message: "m".into(),
            traceback: "t".into(),
            asgi: true,
        },
    ] {
        round_trip(FromHost::Probe { verdict });
    }
    round_trip(FromHost::WorkerUp {
        index: 0,
        incarnation: 1,
        pid: 5,
        interface: Interface::Wsgi,
    });
    round_trip(FromHost::WorkerGone {
        index: 0,
        incarnation: 1,
        pid: 5,
        reason: "signal 9".into(),
    });
    round_trip(FromHost::Failed {
        stage: "import".into(),
        message: "m".into(),
        traceback: "t".into(),
    });
    round_trip(FromHost::LateRefusal {
        module: "numpy".into(),
    });
    for message in [FromHost::Loaded, FromHost::Ready, FromHost::Drained] {
        round_trip(message);
    }
    round_trip(FromEdge::WorkerStuck {
        app: 0,
        index: 1,
        incarnation: 1,
        request: "GET /".into(),
    });
    round_trip(FromEdge::Command {
        id: 1,
        name: "reload".into(),
    });
    for message in [
        FromEdge::Ready {},
        FromEdge::Drained,
        FromEdge::Failed {
            message: "io_uring".into(),
        },
    ] {
        round_trip(message);
    }
}

#[test]
fn the_wire_names_are_stable() {
    assert_eq!(
        serde_json::to_string(&FromEdge::Ready {}).expect("json"),
        r#"{"type":"ready"}"#
    );
    assert_eq!(
        serde_json::to_string(&ToEdge::Drain {
            grace_ms: 1,
            patience: Patience::default()
        })
        .expect("json"),
        r#"{"type":"drain","grace_ms":1,"patience":{"rest_ms":0,"sockets_ms":0}}"#
    );
}

#[test]
fn descriptors_arrive_in_order() {
    let (a, b) = Channel::pair().expect("pair");
    let (read, write) = sys::socket::pipe().expect("pipe");
    a.send(&FromHost::Ready, &[write.as_fd(), read.as_fd()])
        .expect("send");
    let (_, descriptors) = b.recv::<FromHost>().expect("recv").expect("message");
    assert_eq!(descriptors.len(), 2);
}

#[test]
fn the_end_of_the_peer_is_none_and_not_an_error() {
    let (a, b) = Channel::pair().expect("pair");
    drop(a);
    assert!(b.recv::<FromHost>().expect("recv").is_none());
    assert_eq!(
        b.send(&ToHost::Quit, &[]).expect_err("gone").kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn the_end_of_a_peer_that_left_messages_unread_is_none_too() {
    let (a, b) = Channel::pair().expect("pair");
    b.send(&ToHost::Quit, &[]).expect("send");
    drop(a);
    assert!(b.recv::<FromHost>().expect("recv").is_none());
}

#[test]
fn garbage_is_invalid_data() {
    let (a, b) = Channel::pair().expect("pair");
    a.send(&serde_json::json!({"type": "no such message"}), &[])
        .expect("send");
    assert_eq!(
        b.recv::<FromHost>().expect_err("garbage").kind(),
        io::ErrorKind::InvalidData
    );
}

#[test]
fn an_empty_channel_would_block() {
    let (a, _b) = Channel::pair().expect("pair");
    a.set_nonblocking(true).expect("fcntl");
    assert_eq!(
        a.recv::<FromHost>().expect_err("empty").kind(),
        io::ErrorKind::WouldBlock
    );
}

#[test]
fn a_message_beyond_the_bound_is_refused_by_the_sender() {
    let (a, _b) = Channel::pair().expect("pair");
    let message = FromHost::LateRefusal {
        module: "x".repeat(LONG_MESSAGE_BYTES_MAX),
    };
    assert_eq!(
        a.send(&message, &[]).expect_err("too long").kind(),
        io::ErrorKind::InvalidInput
    );
    assert!(clip(&"é".repeat(MESSAGE_BYTES_MAX)).len() <= TEXT_BYTES_MAX + 8);
}

#[test]
fn a_long_message_arrives_with_its_descriptors() {
    let (a, b) = Channel::pair().expect("pair");
    let (end, _other) = sys::socket::pipe().expect("pipe");
    let message = FromHost::LateRefusal {
        module: "x".repeat(3 * MESSAGE_BYTES_MAX),
    };
    a.send(&message, &vec![end.as_fd(); DESCRIPTORS_MAX])
        .expect("send");
    let (arrived, descriptors) = b.recv::<FromHost>().expect("recv").expect("message");
    assert_eq!((arrived, descriptors.len()), (message, DESCRIPTORS_MAX));
}

#[test]
fn a_long_message_that_is_not_there_is_invalid_data() {
    let (a, b) = Channel::pair().expect("pair");
    let (pipe, _other) = sys::socket::pipe().expect("pipe");
    for beside in [&[][..], &[pipe.as_fd()]] {
        a.send_encoded(LONG, beside).expect("send");
        assert!(b.recv::<FromHost>().is_err());
    }
}

#[test]
fn more_descriptors_than_one_message_takes_follow_in_others() {
    let (a, b) = Channel::pair().expect("pair");
    let (end, _other) = sys::socket::pipe().expect("pipe");
    let descriptors = vec![end.as_fd(); DESCRIPTORS_MAX + 7];
    a.send_with_many(&ToHost::Drain, &ToHost::Descriptors {}, &descriptors)
        .expect("send");
    let (first, some) = b.recv::<ToHost>().expect("recv").expect("message");
    assert_eq!((first, some.len()), (ToHost::Drain, DESCRIPTORS_MAX));
    let (second, rest) = b.recv::<ToHost>().expect("recv").expect("message");
    assert_eq!((second, rest.len()), (ToHost::Descriptors {}, 7));
}
