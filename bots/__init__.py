"""The bots: front ends inside chat applications; they collect input and render events, and decide nothing."""
