"""The pattern language of EventBridge rules, pipes and event source mappings.

`parser.parse` turns a pattern's text into an `EventPattern` or says, in AWS's words, what is wrong with it.
`automaton.PatternAutomaton` matches one event against any number of patterns at a cost that does not grow with their
number. `message_filters` is the variant that event source mappings put before a queue.
"""
