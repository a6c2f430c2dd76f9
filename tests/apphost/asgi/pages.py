"""Everything that one small application can be asked to do, by its path."""

import asyncio, os, sys
from urllib.parse import parse_qsl

async def start(send, status=200, headers=(), **more):
    await send({'type': 'http.response.start', 'status': status, 'headers': list(headers), **more})

async def body(send, body=b'', more=False):
    await send({'type': 'http.response.body', 'body': body, 'more_body': more})

async def text(send, text):
    await start(send)
    await body(send, text.encode())

async def echo(scope, receive, send):
    events = []
    while True:
        event = await receive()
        events.append((event['type'], len(event.get('body', b'')), event.get('more_body')))
        if not event.get('more_body'):
            break
    await text(send, repr(events))

async def disconnect(scope, receive, send):
    first = await receive()
    print('waits', flush=True)
    second = await receive()
    try:
        await start(send)
        failed = None
    except OSError as error:
        failed = type(error).__name__
    print('saw', first['type'], second['type'], failed, flush=True)

async def large(scope, receive, send):
    await start(send)
    for number in range(10):
        await body(send, bytes([number]) * 100_000, True)
        print('sent', number, flush=True)
    await body(send)

async def together(scope, receive, send):
    await start(send)
    await asyncio.gather(*[body(send, bytes([65 + number]) * 50_000, True) for number in range(4)])
    await body(send)

async def slow(scope, receive, send):
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        print('cancelled', flush=True)
        raise

async def early(scope, receive, send):
    await start(send)
    await asyncio.sleep(600)

async def fails(scope, receive, send):
    raise ValueError('of the app')

async def fails_late(scope, receive, send):
    await start(send)
    await body(send, b'half', True)
    raise ValueError('of the app, late')

async def silent(scope, receive, send):
    pass

async def unfinished(scope, receive, send):
    await start(send)
    await body(send, b'half', True)

async def blocks(scope, receive, send):
    import time
    deadline = time.monotonic() + 600
    print('blocks', flush=True)
    while time.monotonic() < deadline:
        time.sleep(0.01)

async def deaf(scope, receive, send):
    import time
    print('deaf', flush=True)
    time.sleep(7)

async def trailers(scope, receive, send):
    assert ('http.response.trailers' in scope['extensions']) == (scope['query_string'] == b'te')
    await start(send, 200, trailers=True)
    await body(send, b'body')
    await send({'type': 'http.response.trailers', 'headers': [(b'x-sum', b'1')], 'more_trailers': True})
    await send({'type': 'http.response.trailers', 'headers': [(b'x-rest', b'2')]})

async def hints(scope, receive, send):
    await send({'type': 'http.response.early_hint', 'links': [b'</a.css>; rel=preload', b'</b.js>; rel=preload']})
    await start(send)
    await send({'type': 'http.response.early_hint', 'links': [b'</c.js>; rel=preload']})
    await body(send, b'x')

async def pathsend(scope, receive, send):
    await start(send)
    await send({'type': 'http.response.pathsend', 'path': os.path.abspath(__file__)})

async def zerocopy(scope, receive, send):
    await start(send)
    await body(send, b'[', True)
    with open(__file__, 'rb') as file:
        file.seek(3)
        await send({'type': 'http.response.zerocopysend', 'file': file, 'count': 5, 'more_body': True})
        await send({'type': 'http.response.zerocopysend', 'file': file, 'offset': 1, 'count': 2, 'more_body': True})
    await body(send, b']')

async def wrong(scope, receive, send):
    found = []
    async def tries(message):
        try:
            await send(message)
            found.append('ok')
        except Exception as error:
            found.append(type(error).__name__)
    await tries({'type': 'http.response.body', 'body': b'too early'})
    await tries({'type': 'no.such'})
    await tries({'status': 200})
    await tries(7)
    await tries({'type': 'http.response.start'})
    await tries({'type': 'http.response.start', 'status': '200'})
    await tries({'type': 'http.response.start', 'status': 99})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': [('a', b'b')]})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': [(b'a', b'b\r\nc: d')]})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': 7})
    await tries({'type': 'http.response.start', 'status': None})
    await tries({'type': 'http.response.start', 'status': 200, 'headers': None, 'more': 'keys'})
    await tries({'type': 'http.response.start', 'status': 200})
    await tries({'type': 'http.response.body', 'body': None, 'more_body': True})
    await tries({'type': 'http.response.body', 'body': 'text'})
    await tries({'type': 'http.response.body', 'body': bytearray(b'array'), 'more_body': True})
    await tries({'type': 'http.response.body', 'body': repr(found).encode()})
    await tries({'type': 'http.response.body', 'body': b'ignored'})

async def tasks(scope, receive, send):
    # Everybody's ways to await.
    assert asyncio.iscoroutine(receive())
    event = await asyncio.create_task(receive())
    assert event == {'type': 'http.request', 'body': b'', 'more_body': False}, event
    waiting = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    try:
        await asyncio.wait_for(receive(), 0.01)
        assert False
    except (asyncio.TimeoutError, TimeoutError):
        pass
    waiting = asyncio.create_task(receive())
    await asyncio.create_task(send({'type': 'http.response.start', 'status': 200}))
    await asyncio.wait_for(body(send, b'fine'), 5)
    assert (await waiting)['type'] == 'http.disconnect'
    assert asyncio.current_task() is not None

async def lengths(scope, receive, send):
    await start(send, 200, [(b'content-length', b'4')])
    await body(send, b'12', True)
    try:
        await body(send, b'345', True)
    except RuntimeError as error:
        print('long:', error, flush=True)
    await body(send, b'34')

async def short(scope, receive, send):
    await start(send, 200, [(b'content-length', b'4')])
    await body(send, b'12')

async def websocket(scope, receive, send):
    assert await receive() == {'type': 'websocket.connect'}
    path = scope['path']
    if path == '/refuses':
        return await send({'type': 'websocket.close'})
    if path == '/denies':
        await send({'type': 'websocket.http.response.start', 'status': 429, 'headers': [(b'retry-after', b'9')]})
        await send({'type': 'websocket.http.response.body', 'body': b'later', 'more_body': True})
        return await send({'type': 'websocket.http.response.body'})
    if path == '/returns':
        return
    if path == '/fails':
        raise ValueError('before it accepted')
    await send({'type': 'websocket.accept', 'subprotocol': (scope['subprotocols'] or [None])[-1], 'headers': [(b'x-a', b'b')]})
    if path == '/fails-later':
        raise ValueError('after it accepted')
    while True:
        event = await receive()
        if event['type'] == 'websocket.disconnect':
            print('left', event['code'], event['reason'], flush=True)
            try:
                await send({'type': 'websocket.send', 'text': 'x'})
            except OSError as error:
                print('then', type(error).__name__, flush=True)
            again = await receive()
            assert again == event
            return
        assert (event.get('bytes') is None) != (event.get('text') is None)
        if event.get('text') == 'close':
            return await send({'type': 'websocket.close', 'code': 3001, 'reason': 'asked'})
        if event.get('text') == 'end':
            return
        await send({key: value for key, value in event.items() if value is not None} | {'type': 'websocket.send'})

async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        raise NotImplementedError
    if scope['type'] == 'websocket':
        return await websocket(scope, receive, send)
    await globals()[scope['path'][1:].replace('-', '_')](scope, receive, send)
