//! Messages for the host, first in, first out (OPAL API "opal-messages").
use super::answer::{Answer, DONE};
use super::host_memory::store;
use platform::cpu::lock::Lock;
use skiboot_compat::message::{MESSAGE_LEN, Message};
use skiboot_compat::status::Status;

/// Messages kept until the host fetches them; when there is no room the newest is dropped.
const CAPACITY: usize = 16;

struct Queue {
    messages: [Message; CAPACITY],
    first: usize,
    len: usize,
}

static QUEUE: Lock<Queue> = Lock::new(Queue {
    messages: [Message {
        kind: [0; 4],
        reserved: [0; 4],
        params: [[0; 8]; 8],
    }; CAPACITY],
    first: 0,
    len: 0,
});

/// Puts a message at the end.
pub fn send(message: Message) {
    let mut queue = QUEUE.lock();
    if queue.len == CAPACITY {
        log::warn!("a message for the host is lost: it fetches none");
        return;
    }
    let place = (queue.first + queue.len) % CAPACITY;
    queue.messages[place] = message;
    queue.len += 1;
}

/// A host begins: none of them is for it.
pub fn forget() {
    QUEUE.lock().len = 0;
}

/// Whether the host can fetch one.
pub fn is_pending() -> bool {
    QUEUE.lock().len != 0
}

/// OPAL_GET_MSG: buffer, its length. RESOURCE: there is none.
pub fn get(buffer: u64, len_bytes: u64) -> Answer {
    if len_bytes < MESSAGE_LEN as u64 {
        return Err(Status::Parameter);
    }
    let mut queue = QUEUE.lock();
    if queue.len == 0 {
        return Err(Status::Resource);
    }
    let bytes = queue.messages[queue.first].to_bytes();
    store(buffer, bytes)?;
    queue.first = (queue.first + 1) % CAPACITY;
    queue.len -= 1;
    DONE
}
