//! ASGI 3: a claimed request becomes a scope, a task in the worker's event loop, and events both ways.
//!
//! One loop per worker. The loop's sleep is ours (`selector`), so the edge knows which loops are free: a loop in a turn is picked for nothing. uvloop sleeps by itself; there
//! `turning` is called when the seat's eventfd rings.
//!
//! Floors: `pairs` and `scope` (what the application is told), `wire` (one request's two rings, without Python), `message` (how what `send` gets is read), `http` and `websocket` (what it means), `request` (one
//! request and whoever waits for it), `events` (what `receive` returns), `receiving` and `sending` (the awaitables), `call` (the objects given to the application), `desk` (all requests of a worker),
//! `turning` and `selector` (when they are looked at), `worker` (a worker's life). The parts that are easier said in Python are in `asgi.py`.

mod call;
mod desk;
mod events;
mod http;
mod message;
mod pairs;
mod receiving;
mod request;
mod scope;
mod selector;
mod sending;
mod turning;
mod websocket;
mod wire;
mod worker;

pub use worker::{AsgiWorker, Setting, preload};
