"""Events on their way to the web: signed messages to endpoints of others, sent by the leader, in order, until accepted.

message    what is sent, and its signature        posting    one request, to an address that was looked at
sending    the leader's work, webhook by webhook  backoff    when to try again (pure)
"""
