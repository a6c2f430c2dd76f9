//! Files over the kernel's ring: opening, reading, moving pages to sockets.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod peer;

use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;

use peer::{joined, pattern, peer, run};
use uring::Options;
use uring::fs::{Directory, File, OpenHow, Symlinks, Walk};
use uring::net::Shutdown;

#[test]
fn files_are_opened_read_and_spliced_below_their_root() {
    let directory = std::env::temp_dir().join(format!("uring-files-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("css")).unwrap();
    let contents = pattern(3_000_000);
    std::fs::write(directory.join("css/a.css"), &contents).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.join("out")).unwrap_or_default();
    run(Options::default(), async |mut connections, address| {
        let root = Directory::open(&directory).unwrap();
        let how = OpenHow::beneath(Symlinks::WithinRoot, Walk::CachedOnly);
        for bad in ["../etc/passwd", "out", "/etc/passwd"] {
            let error = root
                .open_file(CString::new(bad).unwrap(), how)
                .await
                .unwrap_err();
            assert_eq!(error.raw_os_error(), Some(sys::errno::EXDEV), "{bad}");
        }
        let file = root
            .open_file(CString::new("css/a.css").unwrap(), how)
            .await
            .unwrap();
        assert_eq!(file.stat().unwrap().size, 3_000_000);
        let (count, bytes) = file.read_at(b"> ".to_vec(), 1000, 2_999_500).await;
        assert_eq!(count.unwrap(), 500);
        assert!(bytes[..2] == *b"> " && bytes[2..] == contents[2_999_500..]);

        let client = peer(address, |mut stream| {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got
        });
        let socket = connections.next().await.unwrap();
        let third = 1_000_000;
        assert_eq!(
            socket.splice_from_file(&file, 0, third).await.unwrap(),
            third
        );
        let mut at = third;
        while at < 3_000_000 {
            let left = 3_000_000 - at as usize;
            let sent = match at < 2 * third {
                true => socket.try_sendfile(&file, at, left),
                false => socket.try_splice(&file, at, left),
            };
            match sent {
                Ok(count) => at += count as u64,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    socket.writable().await.unwrap();
                }
            }
        }
        assert_eq!(
            socket.splice_from_file(&file, 3_000_000, 10).await.unwrap(),
            0,
            "the end"
        );
        socket.shutdown(Shutdown::Write).unwrap();
        assert!(client.join().unwrap() == contents);
        drop::<File>(file);
    });
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_transfer_that_dies_spoils_no_pipe() {
    let path = std::env::temp_dir().join(format!("uring-pipe-{}", std::process::id()));
    std::fs::write(&path, pattern(8_000_000)).unwrap();
    run(Options::default(), async |mut connections, address| {
        let file = File::from_fd(OwnedFd::from(std::fs::File::open(&path).unwrap()));
        for _ in 0..3 {
            let client = peer(address, |mut stream| stream.read(&mut [0; 100]).unwrap());
            let socket = connections.next().await.unwrap();
            socket
                .splice_from_file(&file, 0, 8_000_000)
                .await
                .unwrap_err();
            client.join().unwrap();
            let client = peer(address, |mut stream| {
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                got
            });
            let socket = connections.next().await.unwrap();
            assert_eq!(
                socket.splice_from_file(&file, 0, 8_000_000).await.unwrap(),
                8_000_000
            );
            drop(socket);
            assert!(joined(client).await == pattern(8_000_000));
        }
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn more_cold_transfers_than_kernel_workers_all_finish() {
    const CLIENTS: usize = 80;
    let path = std::env::temp_dir().join(format!("uring-workers-{}", std::process::id()));
    std::fs::write(&path, pattern(700_000)).unwrap();
    run(Options::default(), async |mut connections, address| {
        let file = std::rc::Rc::new(File::from_fd(OwnedFd::from(
            std::fs::File::open(&path).unwrap(),
        )));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                peer(address, |mut stream| {
                    let mut got = Vec::new();
                    stream.read_to_end(&mut got).unwrap();
                    got == pattern(700_000)
                })
            })
            .collect();
        for _ in 0..CLIENTS {
            let socket = connections.next().await.unwrap();
            let file = file.clone();
            uring::spawn(async move {
                socket.splice_from_file(&file, 0, 700_000).await.unwrap();
            });
        }
        for client in clients {
            assert!(joined(client).await);
        }
    });
    std::fs::remove_file(path).unwrap();
}
