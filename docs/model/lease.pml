/*
 * The session and vote argument of docs/guarantees.md as a model for spin. README.md, beside this file, says what is
 * modelled, what is left out and why that does no harm, and what each -D switch breaks.
 *
 * Three machines, all voters, one service. Nothing is dated: every instant is kept as what a clock has counted since
 * then (an age, up to the longest wait that anybody has) or as what is left of it, so that time may go on for ever in
 * a finite number of states. At a tick each clock advances by SLOW or by FAST, at random and anew each time: the
 * rates' ratio is k.
 *
 * The log tells one story, and only how far it goes is kept: entry 1 assigns the service under session 1, entry 2 ends
 * session 1, entry 3 assigns it under session 2, and so on. Who wrote the last entry (its term) decides, as in Raft,
 * whose log is newer; the no-op of a new leader is that term and nothing else.
 */

#define N     3
#define SLOW  1
#define FAST  2
#ifndef LEASE
#define LEASE 2
#endif
#define KILL  1

#ifndef TERMS
#define TERMS 3         /* the first leader's, and two more */
#endif
#ifndef LOG
#define LOG 3           /* assign, end, assign */
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

/* k * duration, k = FAST / SLOW */
#ifdef NO_STRETCH
#define K_LEASE LEASE
#define K_KILL  KILL
#else
#define K_LEASE (LEASE * FAST / SLOW)
#define K_KILL  (KILL * FAST / SLOW)
#endif

#define NOBODY N
#define FOLLOWER  0
#define CANDIDATE 1
#define LEADER    2

#define SESSION(length) (((length) + 1) / 2)
#define ENDED(length)   ((length) % 2 == 0)
#define OWNER(session)  (((session) - 1) % N)
#define BIT(machine)    (1 << (machine))

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define LESS(a, by) ((a) > (by) -> (a) - (by) : 0)

/* On disk. */
byte term[N] = 1;
byte voted[N] = NOBODY;
byte lastTerm[N] = 1;
byte length[N] = 1;
byte applied[N] = 1;

/* In memory. */
byte role[N];
byte upFor[N] = K_LEASE; /* counted since the start of the daemon */
byte heardOf[N];        /* the session that this machine remembers as a voter, 0 for none */
byte heardFor[N];       /* counted since the newest stamp of it that it knows of */
byte vacatedFor[N];     /* counted since it applied the last end of a session, or since its start */

/* A candidate, or a leader. */
byte votes[N];
byte silentFor[N];      /* counted since the newest stamp received, by this leader or those before it */
bit  decides[N];        /* its own no-op is applied */
byte pending[N];        /* what is left of the newest stamp that came after the round began */
byte covered[N];        /* what is left of the newest stamp that came before */
bit  inRound[N];
byte roundLength[N];
byte roundApplied[N];
byte roundSession[N];   /* the session whose age the round lists, 0 for none */
byte roundAge[N];       /* as it was when the round began: what is on its way does not change */
byte answered[N];       /* machines that have answered this round */
byte heard[N];          /* those whose answer has come */

/* On their way, to each machine: the newest stamp, and the newest echo, with what is left of it on the clock that made it. */
byte stampSession[N];
byte stampLeft[N];
byte echoSession[N];
byte echoLeft[N];

/* The application of each machine: it acts while more than KILL is left, and something of it may be alive until nothing is. */
byte alive[N];

byte restarts;

/* P2: whoever is told to start, or acts, is alone. */
inline onlyOne(me)
{
    assert(alive[(me + 1) % N] == 0 && alive[(me + 2) % N] == 0)
}

/* What a machine that does not lead any more, or not yet, has to forget: zero, so that states that differ in it alone are one. */
inline forgetLeading(me)
{
    role[me] = FOLLOWER; votes[me] = 0; silentFor[me] = 0; decides[me] = 0;
    pending[me] = 0; covered[me] = 0; stampSession[me] = 0; stampLeft[me] = 0;
    inRound[me] = 0; roundLength[me] = 0; roundApplied[me] = 0; roundSession[me] = 0; roundAge[me] = 0; answered[me] = 0; heard[me] = 0
}

inline raiseTerm(me, to)
{
    if
    :: to > term[me] -> term[me] = to; voted[me] = NOBODY; forgetLeading(me)
    :: else
    fi
}

inline apply(me, upTo)
{
    if
    :: upTo > applied[me] ->
        applied[me] = upTo;
        heardOf[me] = 0; heardFor[me] = 0;
        pending[me] = 0; covered[me] = 0;
        if
        :: ENDED(upTo) -> printf("cm-%d applies the end of session %d\n", me + 1, SESSION(upTo)); vacatedFor[me] = 0
        :: else ->
            vacatedFor[me] = 0;
            if
            :: OWNER(SESSION(upTo)) == me -> printf("cm-%d is told to start\n", me + 1); onlyOne(me)
            :: else
            fi
        fi
    :: else
    fi
}

inline remember(me, session, age)
{
    if
    :: session == 0 || session < heardOf[me]
    :: session > heardOf[me] -> heardOf[me] = session; heardFor[me] = age
    :: session == heardOf[me] && session != 0 -> heardFor[me] = MIN(heardFor[me], age)
    fi
}

/* Rule 9: what a vote says of the session; of one that it never heard of, the voter's own start. */
#ifdef NO_AGES
#define SAID(voter, session) K_LEASE
#elif defined(NO_OWN_START)
#define SAID(voter, session) (heardOf[voter] == (session) -> heardFor[voter] : K_LEASE)
#else
#define SAID(voter, session) (heardOf[voter] == (session) -> heardFor[voter] : upFor[voter])
#endif

inline stand(me)
{
    forgetLeading(me);
    term[me]++;
    role[me] = CANDIDATE;
    printf("cm-%d stands in term %d\n", me + 1, term[me]);
    voted[me] = me;
    votes[me] = BIT(me);
    silentFor[me] = SAID(me, SESSION(length[me]))
}

#define ISNEWER(a, b) (lastTerm[a] > lastTerm[b] || (lastTerm[a] == lastTerm[b] && length[a] >= length[b]))

inline vote(voter, candidate)
{
    raiseTerm(voter, term[candidate]);
    if
    :: ISNEWER(candidate, voter) && (voted[voter] == NOBODY) && role[voter] == FOLLOWER ->
        voted[voter] = candidate;
        printf("cm-%d votes for cm-%d: the newest stamp of session %d that it knows of came %d ago on its clock\n", voter + 1, candidate + 1, SESSION(length[candidate]), SAID(voter, SESSION(length[candidate])));
        votes[candidate] = votes[candidate] | BIT(voter);
        silentFor[candidate] = MIN(silentFor[candidate], SAID(voter, SESSION(length[candidate])));
        role[candidate] = LEADER;                           /* two of three */
        votes[candidate] = 0;
        lastTerm[candidate] = term[candidate]               /* its no-op */
    :: else
    fi
}

/* The leader takes a stamp: rule 7, not once the end of the session is in its log. */
#ifdef STAMP_AFTER_END
#define TAKES(me, session) ((session) == SESSION(applied[me]) && (session) == SESSION(length[me]) && !ENDED(applied[me]))
#else
#define TAKES(me, session) ((session) == SESSION(applied[me]) && (session) == SESSION(length[me]) && !ENDED(length[me]))
#endif

inline beginRound(me)
{
    if
    :: !ENDED(applied[me]) && OWNER(SESSION(applied[me])) == me && TAKES(me, SESSION(applied[me])) ->
        pending[me] = LEASE; silentFor[me] = 0              /* its own stamp */
    :: else
    fi;
    covered[me] = MAX(covered[me], pending[me]);
    pending[me] = 0;
    inRound[me] = 1;
    printf("cm-%d begins a round\n", me + 1);
    answered[me] = 0; heard[me] = 0;
    roundLength[me] = length[me];
    roundApplied[me] = applied[me];
    if
    :: !ENDED(applied[me]) && SESSION(applied[me]) == SESSION(length[me]) ->
        roundSession[me] = SESSION(applied[me]); roundAge[me] = silentFor[me]
    :: else ->
        roundSession[me] = 0; roundAge[me] = 0
    fi;
#ifndef NO_OWN_ACKNOWLEDGEMENT
    remember(me, roundSession[me], roundAge[me])            /* Rule 5 */
#endif
}

inline sendEcho(me, left)
{
#ifdef INSTANT
    printf("cm-%d confirms a stamp of cm-%d with %d left\n", me + 1, OWNER(SESSION(applied[me])) + 1, left);
    if
    :: applied[OWNER(SESSION(applied[me]))] == applied[me] ->
        alive[OWNER(SESSION(applied[me]))] = MAX(alive[OWNER(SESSION(applied[me]))], left + KILL);
        onlyOne(OWNER(SESSION(applied[me])))
    :: else
    fi
#else
    printf("cm-%d confirms a stamp of cm-%d with %d left\n", me + 1, OWNER(SESSION(applied[me])) + 1, left);
    echoSession[OWNER(SESSION(applied[me]))] = SESSION(applied[me]);
    echoLeft[OWNER(SESSION(applied[me]))] = left
#endif
}

/* Rule 6: nothing is confirmed before the leader's own no-op is applied. */
inline confirm(who)
{
    if
    :: decides[who] && covered[who] > 0 && TAKES(who, SESSION(applied[who])) -> sendEcho(who, covered[who]); covered[who] = 0
    :: else
    fi
}

inline hearAnswer(head, from)
{
    heard[head] = heard[head] | BIT(from);
    printf("cm-%d hears the answer of cm-%d\n", head + 1, from + 1);
    if
    :: stampSession[head] != 0 && OWNER(stampSession[head]) == from ->
        if
        :: TAKES(head, stampSession[head]) ->
            silentFor[head] = 0;
#ifdef ECHO_WITHOUT_ROUND
            if
            :: decides[head] -> sendEcho(head, stampLeft[head])
            :: else
            fi
#else
            pending[head] = MAX(pending[head], stampLeft[head]);
#ifdef ROUND_CONFIRMS_LATER_STAMPS
            covered[head] = MAX(covered[head], stampLeft[head])
#endif
#endif
        :: else
        fi;
        stampSession[head] = 0; stampLeft[head] = 0
    :: else
    fi;
    /* Itself and this one: two of three. What the round covered is confirmed, and what it carried is committed, in any order: the leader's own disk may be slow. */
    confirm(head);
    if
    :: roundLength[head] > applied[head] ->
        apply(head, roundLength[head]);
        if
        :: decides[head] && !ENDED(applied[head]) -> silentFor[head] = 0    /* a session that it has opened itself */
        :: else
        fi
    :: else
    fi;
    decides[head] = 1;
    confirm(head);
    covered[head] = 0
}

inline answer(me, leader)
{
    raiseTerm(me, term[leader]);
    if
    :: role[me] == CANDIDATE -> forgetLeading(me)
    :: else
    fi;
    lastTerm[me] = term[leader];
    length[me] = roundLength[leader];
    remember(me, roundSession[leader], roundAge[leader]);
    apply(me, roundApplied[leader]);
    answered[leader] = answered[leader] | BIT(me);
    printf("cm-%d answers cm-%d\n", me + 1, leader + 1);
    if
    :: !ENDED(applied[me]) && OWNER(SESSION(applied[me])) == me -> stampSession[leader] = SESSION(applied[me]); stampLeft[leader] = LEASE
    :: else
    fi;
#ifdef INSTANT
    hearAnswer(leader, me)
#endif
}

inline hearEcho(me)
{
    if
    :: echoSession[me] == SESSION(applied[me]) && !ENDED(applied[me]) ->
        alive[me] = MAX(alive[me], echoLeft[me] + KILL);
        printf("cm-%d may act for another %d\n", me + 1, echoLeft[me]);
        onlyOne(me)
    :: else
    fi;
    echoSession[me] = 0; echoLeft[me] = 0
}

#ifdef NO_KILL_WAIT
#define MAY_ASSIGN(me) 1
#else
#define MAY_ASSIGN(me) (vacatedFor[me] >= K_KILL)
#endif
#define MAY_APPEND(me) (role[me] == LEADER && decides[me] && applied[me] == length[me] && length[me] < LOG)

inline append(me)
{
    length[me]++;
    if
    :: ENDED(length[me]) -> printf("cm-%d writes into its log: session %d ends\n", me + 1, SESSION(length[me]))
    :: else -> printf("cm-%d writes into its log: cm-%d is master under session %d\n", me + 1, OWNER(SESSION(length[me])) + 1, SESSION(length[me]))
    fi;
    silentFor[me] = 0;
#ifndef STAMP_AFTER_END
    pending[me] = 0; covered[me] = 0
#endif
}

/* What was made under the former clock of this machine: of another incarnation, hence of no use to anybody (rule 3). */
inline forgetStamps(me, leader)
{
    if
    :: OWNER(SESSION(applied[leader])) == me ->
#ifdef NO_INCARNATION
        pending[leader] = (pending[leader] > 0 -> LEASE : 0); covered[leader] = (covered[leader] > 0 -> LEASE : 0)
#else
        pending[leader] = 0; covered[leader] = 0
#endif
    :: else
    fi;
    if
    :: stampSession[leader] != 0 && OWNER(stampSession[leader]) == me ->
#ifdef NO_INCARNATION
        stampLeft[leader] = LEASE
#else
        stampSession[leader] = 0; stampLeft[leader] = 0
#endif
    :: else
    fi
}

inline restart(me)
{
    restarts++;
    printf("cm-%d restarts\n", me + 1);
    forgetLeading(me);
    upFor[me] = 0; heardOf[me] = 0; heardFor[me] = 0;
#ifdef WAIT_OVER_AT_START
    vacatedFor[me] = (ENDED(applied[me]) -> K_KILL : 0);
#else
    vacatedFor[me] = 0;
#endif
#ifdef VOTE_FORGOTTEN
    voted[me] = NOBODY;
#endif
    forgetStamps(me, 0); forgetStamps(me, 1); forgetStamps(me, 2);
#ifdef NO_INCARNATION
    echoLeft[me] = (echoSession[me] != 0 -> LEASE : 0)
#else
    echoSession[me] = 0; echoLeft[me] = 0
#endif
}

/* The clock of `me` counts `by`. Stamps and echoes of this machine run on it wherever they are. */
inline stampsRun(leader, me, by)
{
    if
    :: !ENDED(applied[leader]) && OWNER(SESSION(applied[leader])) == me ->
        pending[leader] = LESS(pending[leader], by); covered[leader] = LESS(covered[leader], by)
    :: else
    fi;
    if
    :: stampSession[leader] != 0 && OWNER(stampSession[leader]) == me ->
        stampLeft[leader] = LESS(stampLeft[leader], by);
        stampSession[leader] = (stampLeft[leader] > 0 -> stampSession[leader] : 0)
    :: else
    fi
}

inline clockRuns(me, by)
{
    upFor[me] = MIN(upFor[me] + by, K_LEASE);
    if
    :: heardOf[me] != 0 -> heardFor[me] = MIN(heardFor[me] + by, K_LEASE)
    :: else
    fi;
    if
    :: ENDED(applied[me]) -> vacatedFor[me] = MIN(vacatedFor[me] + by, K_KILL)
    :: else
    fi;
    if
    :: role[me] != FOLLOWER && !ENDED(length[me]) -> silentFor[me] = MIN(silentFor[me] + by, K_LEASE)
    :: else
    fi;
    stampsRun(0, me, by); stampsRun(1, me, by); stampsRun(2, me, by);
    echoLeft[me] = LESS(echoLeft[me], by);
    echoSession[me] = (echoLeft[me] > 0 -> echoSession[me] : 0);
    alive[me] = LESS(alive[me], by)
}

#define TICK(a, b, c) d_step { true -> printf("time passes: the clocks count %d, %d, %d\n", a, b, c); clockRuns(0, a); clockRuns(1, b); clockRuns(2, c) }

proctype Time()
{
    do
    :: TICK(SLOW, SLOW, SLOW)
    :: TICK(SLOW, SLOW, FAST)
    :: TICK(SLOW, FAST, SLOW)
    :: TICK(SLOW, FAST, FAST)
    :: TICK(FAST, SLOW, SLOW)
    :: TICK(FAST, SLOW, FAST)
    :: TICK(FAST, FAST, SLOW)
    :: TICK(FAST, FAST, FAST)
    od
}

#define LEFT(me)  ((me + 1) % N)
#define RIGHT(me) ((me + 2) % N)
#define MAY_VOTE(me, candidate) (role[candidate] == CANDIDATE && (term[candidate] > term[me] || (term[candidate] == term[me] && voted[me] == NOBODY && role[me] == FOLLOWER && ISNEWER(candidate, me))))
#define MAY_BE_ELECTED(me, voter)   (term[me] < TERMS && term[voter] <= term[me] && ISNEWER(me, voter))
#define MAY_ANSWER(me, leader)  (role[leader] == LEADER && inRound[leader] && (answered[leader] & BIT(me)) == 0 && term[leader] >= term[me])
#define HAS_ANSWER(me, from)    (role[me] == LEADER && (answered[me] & BIT(from)) != 0 && (heard[me] & BIT(from)) == 0)

/* Whatever can happen may happen at any moment, or never: that is what lost, late and overtaken messages, timeouts and stalls come to. */
proctype Machine(byte me)
{
    do
#ifdef INSTANT
    :: d_step { MAY_BE_ELECTED(me, LEFT(me)) -> stand(me); vote(LEFT(me), me) }
    :: d_step { MAY_BE_ELECTED(me, RIGHT(me)) -> stand(me); vote(RIGHT(me), me) }
#else
    :: d_step { term[me] < TERMS -> stand(me) }
    :: d_step { MAY_VOTE(me, LEFT(me)) -> vote(me, LEFT(me)) }
    :: d_step { MAY_VOTE(me, RIGHT(me)) -> vote(me, RIGHT(me)) }
#endif
    :: d_step { role[me] == LEADER -> beginRound(me) }
    :: d_step { MAY_ANSWER(me, LEFT(me)) -> answer(me, LEFT(me)) }
    :: d_step { MAY_ANSWER(me, RIGHT(me)) -> answer(me, RIGHT(me)) }
    :: d_step { HAS_ANSWER(me, LEFT(me)) -> hearAnswer(me, LEFT(me)) }
    :: d_step { HAS_ANSWER(me, RIGHT(me)) -> hearAnswer(me, RIGHT(me)) }
    :: d_step { MAY_APPEND(me) && !ENDED(length[me]) && silentFor[me] >= K_LEASE -> append(me) }
    :: d_step { MAY_APPEND(me) && ENDED(length[me]) && MAY_ASSIGN(me) -> append(me) }
    :: d_step { echoSession[me] != 0 -> hearEcho(me) }
    :: d_step { restarts < RESTARTS -> restart(me) }
    od
}

init
{
    atomic {
        if
        :: role[0] = LEADER; decides[0] = 1
        :: role[1] = LEADER; decides[1] = 1
        :: role[2] = LEADER; decides[2] = 1
        fi;
        run Time(); run Machine(0); run Machine(1); run Machine(2)
    }
}
