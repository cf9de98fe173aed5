// How long a session lives.
module.exports.lifetime = 30 * 60;
